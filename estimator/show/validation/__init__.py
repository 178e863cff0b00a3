"""The track record as tables, as a page and as Markdown."""
