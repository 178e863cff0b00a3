"""Closed forms: pure functions of numbers, one file per physical subject.

May import ground and specs.
"""
