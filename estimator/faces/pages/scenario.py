"""The Scenario page: what is asked as a file, to take away, to change, to bring."""

from __future__ import annotations

import streamlit as st

from estimator.faces.pages import controls, own
from estimator.faces.pages.question import Question
from estimator.faces.pages.show import refuse
from estimator.faces.pages.text import plain
from estimator.faces.uploads import accepted
from estimator.ground.errors import EstimatorError

FILE, TEXT = "scenario file", "scenario text"
"""Keys of what is handed in."""
MOST_MB = 1
LINES = 260
"""Pixels of the editor."""


def page(question: Question) -> None:
    """Show the scenario as a file; take another one, or refuse it with one message."""
    st.subheader("This scenario as a file", anchor=False)
    text = question.file
    st.caption(
        plain(
            "What the controls ask, as a difference from built-in files. Change "
            "anything: a quantity needs its unit."
        )
    )
    with st.form("editor", border=False):
        st.text_area(
            "Scenario",
            text,
            height=LINES,
            key=f"{TEXT} {hash(text)}",
            label_visibility="collapsed",
        )
        with st.container(horizontal=True):
            st.form_submit_button(
                "Use this text", on_click=_take_text, args=(f"{TEXT} {hash(text)}",)
            )
    st.download_button(
        "Download as a file",
        text,
        file_name=question.file_name,
        mime="application/yaml",
        on_click="ignore",
    )
    st.markdown("**The same on the command line**")
    st.code(question.command, language="bash", wrap_lines=True)
    if question.is_own:
        st.caption(plain(f"With {question.file_name} as downloaded above."))
    if own.is_too_long() and question.is_own:
        st.info("This scenario is too long for a link: share the file instead.")
    st.subheader("Another scenario", anchor=False)
    st.file_uploader(
        "A scenario in YAML, or the config.json of a model on Hugging Face, which "
        "takes the place of the chosen scenario's model",
        type=["yaml", "yml", "json"],
        key=FILE,
        on_change=_take_file,
        max_upload_size=MOST_MB,
    )


def _take_file() -> None:
    file = st.session_state[FILE]
    if file is not None:
        _take(file.getvalue(), file.name)


def _take_text(key: str) -> None:
    _take(st.session_state[key].encode("utf-8", "replace"), "the text")


def _take(data: bytes, name: str) -> None:
    try:
        controls.take_own(accepted(data, name, controls.chosen()))
    except EstimatorError as error:
        refuse(str(error))
