"""Figures of other inputs than one estimate: the chart, and its files for print."""

from __future__ import annotations

import streamlit as st

from estimator.answer.provenance import Provenance
from estimator.faces.pages import downloads
from estimator.faces.pages.show import let_numbers_paint, under_finding
from estimator.show.charts import difference, heat, plot
from estimator.show.findings.base import Bars, Heat, Plot


def draw(made: Plot | Heat | Bars, key: str, source: Provenance) -> None:
    """Show what was found, its chart, and below it the chart as files.

    Parameters
    ----------
    key : str
        Of the chart on the page; names its files.
    source : Provenance
        Where the figure comes from, for its foot.
    """
    let_numbers_paint()
    if isinstance(made, Heat):
        chart = heat.drawn(made)
    elif isinstance(made, Plot):
        chart = plot.drawn(made)
    else:
        chart = difference.drawn(made)
    under_finding(chart, key)
    with st.popover("Download this figure"):
        files = downloads.of_figure(made, str(source), f"{source.name}-{key}")
        downloads.buttons(files)
