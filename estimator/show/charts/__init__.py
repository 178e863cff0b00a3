"""Figures of an answer, by Plotly: one file each, one function each."""
