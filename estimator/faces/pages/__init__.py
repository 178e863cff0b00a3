"""The dashboard's pages: one file each, and the controls that they share."""
