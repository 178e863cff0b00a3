"""Where people meet it: the command line and the pages of the dashboard.

May import everything.
"""
