"""What the words and accelerators of records stand for: tables, no code."""
