"""The question that pages answer: what is asked, or the last one that has an answer."""

from __future__ import annotations

import streamlit as st

from estimator.faces.pages import controls
from estimator.faces.pages.question import Question
from estimator.faces.pages.text import plain
from estimator.ground.errors import EstimatorError

LAST, PROBLEM = "last good question", "why it is shown"
"""Keys in the session."""


def question() -> Question | None:
    """Show the controls; return what they ask if it has an answer, else the last good.

    A session that has none yet gets the scenario without what is changed, and where
    that has no answer either, the first scenario; none if its files are broken.
    """
    st.session_state[PROBLEM] = ""
    try:
        asked = controls.question()
        _ = asked.report
    except EstimatorError as error:
        st.session_state[PROBLEM] = str(error)
        return _fallback()
    st.session_state[LAST] = asked
    return asked


def has_problem() -> bool:
    """Whether what is asked has no answer."""
    return bool(st.session_state[PROBLEM])


def say_problem(shown: Question | None) -> None:
    """Say why what is asked has no answer, and what is shown in its place."""
    if message := st.session_state[PROBLEM]:
        st.error(plain(message))
        if shown is None:
            return
        changed = ", ".join(shown.overrides) or "nothing changed"
        st.caption(
            plain(
                f"Below is the last answer: {shown.resolved.name}, {changed}. The "
                "controls on the left keep what you asked."
            )
        )


def _fallback() -> Question | None:
    known = (st.session_state.get(LAST), controls.listed(), Question(controls.FIRST))
    return next((each for each in known if each and not each.problem), None)
