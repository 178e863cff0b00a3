"""Links: the address holds every control that differs from its scenario."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from estimator.pages import own
from estimator.pages.text import plain

IGNORED = "ignored in the link"
MOST_SHOWN = 200
"""Characters of ignored parameters that are repeated."""


def parameters() -> dict[str, list[str]]:
    """Return what the address says, before the controls take it."""
    return {key: st.query_params.get_all(key) for key in st.query_params}


def name_ignored(asked: Mapping[str, list[str]], shown: object) -> None:
    """Name what a link asks that no control took, until what is shown changes.

    To be called when every control of the page has been shown.
    """
    if IGNORED not in st.session_state:
        left = [
            f"{key}={value}"
            for key, values in asked.items()
            for value in values
            if key not in st.session_state or not _is_taken(key, value)
        ]
        st.session_state[IGNORED] = (", ".join(left)[:MOST_SHOWN], shown)
    text, of = st.session_state[IGNORED]
    if text and of == shown:
        st.warning(plain(f"Ignored in the link: {text}"))


def _is_taken(key: str, value: str) -> bool:
    """Return whether a control holds what the address says."""
    held = st.session_state[key]
    if key == own.KEY:  # packed again, it may have other letters
        return bool(held)
    if isinstance(held, list):
        return value in held or not value
    if isinstance(held, bool | str):
        return str(held).lower() == value.lower()
    try:
        return bool(float(value) == held)
    except ValueError:
        return False
