"""The dashboard's entry: the controls that all pages share, and navigation."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import streamlit as st

from estimator.errors import EstimatorError
from estimator.pages import (
    catalog,
    compare,
    controls,
    estimate,
    links,
    method,
    plan,
    scenario,
    schedule,
    show,
    validation,
    what_if,
)
from estimator.pages.question import Question
from estimator.pages.text import plain

START = "start"
"""Reserved by the page at the root, so that its own name can be typed as well."""

# title, place in the address, and what shows the page; the first one opens
PAGES: tuple[tuple[str, str, Callable[[Question], None]], ...] = (
    ("Estimate", "estimate", estimate.page),
    ("Schedule", "schedule", schedule.page),
    ("What-if", "what-if", what_if.page),
    ("Compare", "compare", compare.page),
    ("Plan", "plan", plan.page),
    ("Validation", "validation", validation.page),
    ("Catalog", "catalog", catalog.page),
    ("Method", "method", method.page),
    ("Scenario", "scenario", scenario.page),
)


def main() -> None:
    """Read the controls, then run the page that is open."""
    st.set_page_config("estimator", layout="wide")
    asked = links.parameters()
    try:
        question = controls.question()
    except EstimatorError as error:
        st.error(plain(str(error)))
        return
    title, path, shown = PAGES[0]
    first = partial(shown, question)
    pages = [
        st.Page(first, title=title, url_path=START, default=True),
        st.Page(first, title=title, url_path=path, visibility="hidden"),
        *(
            st.Page(partial(shown, question), title=title, url_path=path)
            for title, path, shown in PAGES[1:]
        ),
    ]
    page = st.navigation(pages, position="top")
    notice = st.empty()
    show.refusal()
    try:
        page.run()
    except EstimatorError as error:  # not all controls were shown
        st.error(plain(str(error)))
        return
    with notice:
        links.name_ignored(asked, question)


main()
