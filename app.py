"""The dashboard's entry: the controls that all pages share, and navigation."""

from __future__ import annotations

from functools import partial

import streamlit as st

from estimator.errors import EstimatorError
from estimator.pages import controls, estimate
from estimator.pages.text import plain


def main() -> None:
    """Read the controls, then run the page that is open."""
    st.set_page_config("estimator", layout="wide")
    try:
        question = controls.question()
    except EstimatorError as error:
        st.error(plain(str(error)))
        return
    pages = [
        st.Page(
            partial(estimate.page, question),
            title="Estimate",
            url_path="estimate",
            default=True,
        )
    ]
    st.navigation(pages, position="top").run()


main()
