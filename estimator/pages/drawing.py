"""A finding as a figure on a page: its title as text that wraps, the chart below."""

from __future__ import annotations

import streamlit as st

from estimator.charts import heat, plot
from estimator.findings.base import Heat, Plot
from estimator.pages.text import plain

CONFIG = {"displaylogo": False}
TOP = 24
"""Pixels above a chart whose title stands outside."""


def draw(made: Plot | Heat, key: str) -> None:
    """Show what was found, then its chart."""
    figure = heat.drawn(made) if isinstance(made, Heat) else plot.drawn(made)
    figure.update_layout(title=None, margin={"t": TOP})
    st.markdown(f"**{plain(made.finding)}**")
    st.plotly_chart(figure, key=key, alt=made.finding, config=CONFIG)
