"""Clocks: operations, durations and dependencies in, times out. No transformers here.

May import ground and schedules.
"""
