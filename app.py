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
    pages = [
        st.Page(partial(shown, question), title=title, url_path=path, default=not index)
        for index, (title, path, shown) in enumerate(PAGES)
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
