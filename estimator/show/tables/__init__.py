"""Rows and columns of each answer, for terminals, pages and files."""
