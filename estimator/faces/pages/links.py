"""Links: the address holds every control that differs from its scenario."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import streamlit as st

from estimator.faces.pages import own
from estimator.faces.pages.text import plain

IGNORED = "ignored in the link"
REFUSED = "refused in the link"
MOST_SHOWN = 200
"""Characters of ignored parameters that are repeated."""
MOST_LETTERS = 2_000
"""Of one parameter: a scenario in a link, and more than any control holds."""
MOST_VALUES = 64
"""Of one parameter that is given several times."""


def parameters() -> dict[str, list[str]]:
    """Return what the address says, before the controls take it.

    What no control could hold is taken out of the address at once, and not bound.
    """
    asked = {key: st.query_params.get_all(key) for key in st.query_params}
    refused = st.session_state.setdefault(REFUSED, set())
    for key, values in asked.items():
        if not (_is_bounded(values) and _is_small(key, values)):
            refused.add(key)
            del st.query_params[key]
    return asked


def is_odd() -> bool:
    """Whether the link says what no control could hold."""
    return bool(st.session_state.get(REFUSED))


def binding(key: str) -> Literal["query-params"] | None:
    """Return how a control of numbers is bound to the address: as others, or not.

    Streamlit keeps what a link said first, and ends a page at ``?gpus=1e999``.
    """
    refused = key in st.session_state.get(REFUSED, ())
    return None if refused else "query-params"


def _is_bounded(values: Sequence[str]) -> bool:
    """Return whether a control could hold a parameter's values.

    >>> _is_bounded(["4096"]), _is_bounded(["9" * 401]), _is_bounded(["x" * 9000])
    (True, False, False)
    """
    if len(values) > MOST_VALUES or sum(map(len, values)) > MOST_LETTERS:
        return False
    return all(math.isfinite(_number(value)) for value in values)


def _is_small(key: str, values: Sequence[str]) -> bool:
    """Return whether what a link packs is no larger than a link may bring."""
    return key != own.KEY or all(map(own.is_small, values))


def _number(text: str) -> float:
    """Return a text as a number, as a control reads it; 0 if it is none."""
    try:
        return float(text)
    except ValueError:
        return 0.0


def name_ignored(asked: Mapping[str, list[str]], shown: object) -> None:
    """Name what a link asks that no control took, until what is shown changes.

    To be called when every control of the page has been shown.
    """
    if IGNORED not in st.session_state:
        left = [
            f"{key}={value}"
            for key, values in asked.items()
            for value in values[:MOST_VALUES]
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
