"""Closed forms: pure functions of numbers, one file per physical subject."""
