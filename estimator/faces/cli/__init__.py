"""The command line: one function a command, options that they share."""
