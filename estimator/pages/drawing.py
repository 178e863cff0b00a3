"""A finding as a figure on a page: its title as text that wraps, the chart below."""

from __future__ import annotations

import plotly.graph_objects as go
import streamlit as st

from estimator.charts import difference, heat, plot
from estimator.findings.base import Bars, Heat, Plot
from estimator.pages.text import plain

CONFIG = {"displaylogo": False}
TOP = 24
"""Pixels above a chart whose title stands outside."""


def draw(made: Plot | Heat | Bars, key: str) -> None:
    """Show what was found, then its chart; bars are a waterfall."""
    figure = _drawn(made)
    figure.update_layout(title=None, margin={"t": TOP})
    st.markdown(f"**{plain(made.finding)}**")
    st.plotly_chart(figure, key=key, alt=made.finding, config=CONFIG)


def _drawn(made: Plot | Heat | Bars) -> go.Figure:
    if isinstance(made, Heat):
        return heat.drawn(made)
    return plot.drawn(made) if isinstance(made, Plot) else difference.drawn(made)
