"""Figures for print, by matplotlib: PNG, SVG and PDF without a browser."""
