"""Figures of an answer, by Plotly: a file for each shape they have."""
