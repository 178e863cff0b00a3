"""The dashboard's entry: the controls that all pages share, and navigation."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

import streamlit as st

from estimator.faces.pages import (
    catalog,
    compare,
    estimate,
    good,
    links,
    method,
    plan,
    scenario,
    schedule,
    show,
    turns,
    validation,
    what_if,
)
from estimator.faces.pages.question import Question
from estimator.faces.pages.text import plain
from estimator.ground.errors import EstimatorError

UNASKED = ("validation", "catalog")
"""Pages that show the same whatever the controls ask."""
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
    with turns.turn(is_needed=links.is_odd()):
        question = good.question()
        with turns.turn(is_needed=good.has_problem()):
            _show(question, asked)


def _show(question: Question | None, asked: dict[str, list[str]]) -> None:
    """Show navigation, and the page that is open."""
    title, path, shown = PAGES[0]
    first = partial(_answer, shown, question)
    pages = [
        st.Page(first, title=title, url_path=START, default=True),
        st.Page(first, title=title, url_path=path, visibility="hidden"),
        *(
            st.Page(partial(_answer, shown, question), title=title, url_path=path)
            for title, path, shown in PAGES[1:]
        ),
    ]
    page = st.navigation(pages, position="top")
    notice = st.empty()
    show.refusal()
    if page.url_path not in UNASKED:
        good.say_problem(question)
    try:
        page.run()
    except EstimatorError as error:  # not all controls were shown
        st.error(plain(str(error)))
        return
    except Exception as error:  # a fault of the program: said in a line, logged in full
        logging.getLogger("estimator").exception("the page %s failed", page.title)
        st.error(f"The page {page.title} failed ({type(error).__name__}).")
        return
    with notice:
        links.name_ignored(asked, question)


def _answer(shown: Callable[[Question], None], question: Question | None) -> None:
    """Show a page, where there is anything to show."""
    if question is not None:
        shown(question)


main()
