"""A finding as a figure on a page: its title as text that wraps, the chart below."""

from __future__ import annotations

import streamlit as st

from estimator.charts.draw import drawn
from estimator.findings.base import Bars, Heat, Plot
from estimator.pages.text import plain

CONFIG = {"displaylogo": False}
TOP = 24
"""Pixels above a chart whose title stands outside."""


def draw(made: Plot | Heat | Bars, key: str) -> None:
    """Show what was found, then its chart; bars are a waterfall."""
    figure = drawn(made)
    figure.update_layout(title=None, margin={"t": TOP})
    st.markdown(f"**{plain(made.finding)}**")
    st.plotly_chart(figure, key=key, alt=made.finding, config=CONFIG)
