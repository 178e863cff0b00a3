"""Figures of an estimate: one file each, one function each."""
