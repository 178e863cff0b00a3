"""The Compare page: what differs from a baseline, and what each difference costs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
import streamlit as st

from estimator import attribution, catalog, comparison, tables
from estimator.comparison import Comparison, Share
from estimator.errors import EstimatorError
from estimator.findings.difference import brief, difference
from estimator.pages.drawing import draw
from estimator.pages.question import Question
from estimator.pages.text import breakable, plain
from estimator.report import Report
from estimator.units import DAY_S
from estimator.wording import IF_IT_DID, does_not_fit, price_words, short

KEPT = 32
WIDE = 164
"""Pixels of a number, so that two stand side by side on a phone."""
QUANTITIES = {"Cost": "cost_usd", "GPU-hours": "gpu_hours"}


def page(question: Question) -> None:
    """Show the question beside a baseline, or one message that says why not."""
    try:
        name = question.resolved.name
    except EstimatorError as error:
        st.error(plain(str(error)))
        return
    known = list(_baselines())
    baseline = st.selectbox(
        "Baseline",
        known,
        index=known.index(_first(question, known)),
        key="baseline",
        bind="query-params",
        help="What is asked in the sidebar is compared with this.",
    )
    try:
        made = _compared(question, str(baseline))
    except EstimatorError as error:
        st.error(plain(str(error)))
        return
    before, after = made.reports
    st.subheader(plain(f"{after.scenario} against {before.scenario}"), anchor=False)
    if not made.shares:
        st.info(
            f"Nothing that counts differs between them. Change something in the "
            f"sidebar, or choose another baseline than {plain(name)}."
        )
        return
    for report in made.reports:
        if not report.memory.fits:
            words = f"{report.scenario}: {does_not_fit(report.memory)} {IF_IT_DID}"
            st.error(plain(words))
    _numbers(before, after)
    bases = dict.fromkeys(map(price_words, (after, before)))
    st.caption(plain(". Baseline: ".join(bases) + "."))
    shown = st.segmented_control(
        "Show", list(QUANTITIES), default="Cost", required=True, key="compared"
    )
    draw(difference(before, after, made.shares, QUANTITIES[str(shown)]), "difference")
    st.caption(
        "Each share is a Shapley value: the input's effect, averaged over every order "
        "in which the inputs could have been changed. They add up to the difference."
    )
    _inputs(made.shares)
    _results(made)
    _leaves(question, str(baseline))
    _reproduce(question, str(baseline))


def _baselines() -> Iterator[str]:
    """Yield every built-in scenario, its variants behind it."""
    for name in catalog.names("scenario"):
        yield name
        for variant in catalog.load_scenario(name).variants:
            yield f"{name}@{variant}"


def _first(question: Question, known: list[str]) -> str:
    """Return the baseline to start with: what the sidebar changed, or a variant."""
    own = question.scenario if question.scenario in known else known[0]
    variants = [name for name in known if name.startswith(f"{own}@")]
    return own if question.overrides or not variants else variants[0]


@st.cache_data(max_entries=KEPT, show_spinner="Attributing the difference")
def _compared(question: Question, baseline: str) -> Comparison:
    return comparison.of_documents(_documents(question, baseline))


def _documents(question: Question, baseline: str) -> list[Any]:
    before = catalog.scenario_document(baseline)
    after = catalog.scenario_document(question.scenario, question.overrides)
    if question.overrides:
        after.put("name", f"{after['name']}, changed", after.place)
    return [before, after]


def _numbers(before: Report, after: Report) -> None:
    rows = [
        ("Cost", f"${short(after.cost_usd)}", after.cost_usd / before.cost_usd),
        ("GPU-hours", short(after.gpu_hours), after.gpu_hours / before.gpu_hours),
        (
            "Wall time",
            f"{after.wall_s / DAY_S:.1f} days",
            after.wall_s / before.wall_s,
        ),
        ("MFU", f"{after.step.mfu:.1%}", after.step.mfu / before.step.mfu),
    ]
    with st.container(horizontal=True, horizontal_alignment="distribute"):
        for label, value, ratio in rows:
            st.metric(
                label,
                plain(value),
                f"{ratio - 1:+.1%}",
                delta_color="normal" if label == "MFU" else "inverse",
                width=WIDE,
            )


def _inputs(shares: tuple[Share, ...]) -> None:
    """Show the inputs that differ, and what each one adds."""
    st.markdown("**What differs**")
    rows = []
    for share in sorted(shares, key=lambda share: -abs(share.cost_usd)):
        path, _, change = share.input.partition(": ")
        old, _, new = change.partition(" -> ")
        is_one = brief(share.input) == share.input
        rows.append(
            {
                "Input": breakable(plain(path if is_one else brief(share.input))),
                "Baseline": breakable(plain(old)) if is_one else "",
                "Now": breakable(plain(new)) if is_one else "",
                "USD": f"{share.cost_usd:+,.0f}",
                "GPU-hours": f"{share.gpu_hours:+,.0f}",
            }
        )
    st.table(pd.DataFrame(rows), border="horizontal", hide_index=True)


def _results(made: Comparison) -> None:
    """Show the results that differ."""
    first, *others = tables.comparison(made).columns
    cells = [[str(cell) for cell in column.cells] for column in others]
    rows = [
        {"Result": str(name), "Baseline": plain(old), "Now": plain(new)}
        for name, old, new in zip(first.cells, *cells, strict=True)
        if old != new and name != "cost against first"
    ]
    st.table(pd.DataFrame(rows), border="horizontal", hide_index=True)


def _leaves(question: Question, baseline: str) -> None:
    """Show every single number that differs, also inside of named files."""
    before, after = _documents(question, baseline)
    rows = []
    for path in attribution.changed(before, after):
        words = attribution.label(path, before, after)
        name, _, change = words.partition(": ")
        old, _, new = change.partition(" -> ")
        rows.append({"Path": name, "Baseline": old, "Now": new})
    with st.expander(f"All {len(rows)} fields that differ"):
        st.dataframe(pd.DataFrame(rows), hide_index=True)


def _reproduce(question: Question, baseline: str) -> None:
    if question.overrides:
        return
    st.markdown("**The same on the command line**")
    st.code(
        f"estimator compare {baseline} {question.scenario} --chart why.svg",
        language="bash",
        wrap_lines=True,
    )
