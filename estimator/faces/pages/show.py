"""What pages show alike: a figure under its finding, after the numbers."""

from __future__ import annotations

import time

import streamlit as st

from estimator.faces.pages.question import Question
from estimator.faces.pages.text import plain
from estimator.show.charts.base import Drawn, chart

PAUSE_S = 0.7
REFUSED = "refused"
"""The key of what was wrong with what a visitor handed in."""


def refuse(message: str) -> None:
    """Have the page say once what was wrong; for callbacks."""
    st.session_state[REFUSED] = message


def refusal() -> None:
    """Say what was wrong with what was just handed in."""
    if message := st.session_state.pop(REFUSED, ""):
        st.error(plain(message))


def let_numbers_paint() -> None:
    """Wait once a session, so that numbers do not wait for the chart library.

    The browser shows nothing of what arrives together with a first chart until 5 MB of
    code are loaded: numbers come after 4 to 5 s without the pause, 1.6 s with it
    (Chromium without a cache, two busy cores).
    """
    if "has_painted" not in st.session_state:
        st.session_state["has_painted"] = True
        time.sleep(PAUSE_S)


def figure(question: Question, name: str) -> None:
    """Show a registered figure."""
    under_finding(chart[name](question), name)


def under_finding(drawn: Drawn, key: str) -> None:
    """Show a figure under its finding, which wraps on a narrow screen."""
    finding = drawn.layout.title.text
    drawn.update_layout(title=None, margin={"t": 24})
    st.markdown(f"**{plain(finding)}**")
    st.plotly_chart(drawn, key=key, alt=finding, config={"displaylogo": False})
