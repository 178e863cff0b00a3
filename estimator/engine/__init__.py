"""Clocks: durations and dependencies in, times out. No transformers here."""
