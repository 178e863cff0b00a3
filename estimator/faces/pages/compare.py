"""The Compare page: what differs from a baseline, and what each difference costs."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
import streamlit as st

from estimator.answer import provenance
from estimator.catalog import kinds, loading, reading
from estimator.explore import attribution, comparison
from estimator.explore.comparison import Comparison, Share
from estimator.explore.results import Result
from estimator.faces import uploads
from estimator.faces.pages.downloads import buttons, of_tables
from estimator.faces.pages.drawing import draw
from estimator.faces.pages.question import Question
from estimator.faces.pages.text import breakable, plain
from estimator.faces.pages.turns import in_turn
from estimator.ground.attempts import Failed, one_line
from estimator.ground.documents import Map
from estimator.ground.errors import EstimatorError, InfeasibleError
from estimator.ground.words import dollars, duration, relative, short, signed
from estimator.show.findings.difference import brief, difference
from estimator.show.tables import compare as tables_compare
from estimator.show.wording import misfit, price_words
from estimator.specs.scenario import Scenario

KEPT = 32
WIDE = 164
"""Pixels of a number, so that two stand side by side on a phone."""
BASELINE, VARIANTS = "baseline", "with"
"""Keys of controls, also in links."""
ALL_ORDERS = (
    "Each share is a Shapley value: the input's effect, averaged over every order in "
    "which the inputs could have been changed. They add up to the difference."
)
ONE_ORDER = (
    "Each share is the input's effect as inputs are changed one after the other, in "
    "the order of the file: an average over all orders takes longer than a page may; "
    "'estimator compare' shows it. They add up to the difference."
)
QUANTITIES = {"Cost": "cost_usd", "GPU-hours": "gpu_hours"}


def page(question: Question) -> None:
    """Show the question beside a baseline, or one message that says why not."""
    baseline = _baseline(question)
    made = _compared(question, baseline)
    if made.failed:
        _alone(made)
        return
    before, after = made.reports
    st.subheader(plain(f"{after.scenario} against {before.scenario}"), anchor=False)
    if not made.shares:
        st.info(
            f"Nothing that counts differs between them. Change something in the "
            f"sidebar, or choose another baseline than {plain(before.scenario)}."
        )
        return
    for report in made.reports:
        if wrong := misfit(report.memory):
            words = plain(f"{report.scenario}: {wrong}")
            (st.warning if report.memory.fits else st.error)(words)
    _numbers(made)
    bases = dict.fromkeys(map(price_words, (after, before)))
    st.caption(plain(". Baseline: ".join(bases) + "."))
    shown = st.segmented_control(
        "Show",
        list(QUANTITIES),
        default="Cost",
        required=True,
        key="compared",
        bind="query-params",
    )
    draw(
        difference(before, after, made.shares, QUANTITIES[str(shown)]),
        "difference",
        provenance.of_scenario(made.scenarios[1]),
    )
    st.caption(ONE_ORDER if made.is_sequential else ALL_ORDERS)
    _inputs(made.shares)
    _results(made)
    _leaves(question, baseline)
    _reproduce(question, baseline, made)


def _alone(made: Comparison) -> None:
    """Show the one of both that can be estimated, and why the other cannot."""
    for each in made.failed:
        st.error(plain(f"{each.scenario} has no answer: {each.error}."))
    (_, names), *numbers = tables_compare.comparison(made).read()
    cells = {plain(column.head): [*map(plain, cells)] for column, cells in numbers}
    st.table(
        pd.DataFrame({"Result": names, **cells}),
        border="horizontal",
        hide_index=True,
    )


def _baseline(question: Question) -> str:
    """Show the controls of the baseline; at first a variant, if nothing is changed."""
    known = kinds.names("scenario")
    own = question.base if question.base in known else known[0]
    left, right = st.columns(2)
    name = left.selectbox(
        "Baseline",
        known,
        index=known.index(own),
        key=BASELINE,
        bind="query-params",
        on_change=_take_no_variant,
        help="What is asked in the sidebar is compared with this.",
    )
    variants = sorted(loading.load_scenario(name).variants)
    is_same = name == question.scenario and not question.overrides
    chosen = right.multiselect(
        "with variants",
        variants,
        default=variants[:1] if is_same else [],
        key=VARIANTS,
        bind="query-params",
        placeholder="none",
        disabled=not variants,
    )
    return f"{name}@{'+'.join(chosen)}" if chosen else name


def _take_no_variant() -> None:
    st.session_state[VARIANTS] = []


_attributed = in_turn(comparison.of_documents)


@st.cache_data(max_entries=KEPT, show_spinner="Attributing the difference")
def _compared(question: Question, baseline: str) -> Comparison:
    try:
        scenario = question.resolved  # nothing that a link asks is estimated unchecked
    except EstimatorError as error:
        made = _attributed([loading.scenario_document(baseline)])
        asked = ", ".join((question.scenario, *question.overrides))
        return replace(made, failed=(Failed(asked, one_line(error), 1),))
    documents = _documents(question, baseline)
    is_sequential = _is_sequential(documents, scenario)
    return _attributed(documents, is_sequential=is_sequential)


def _is_sequential(documents: Sequence[Map], scenario: Scenario) -> bool:
    """Return whether an average over all orders would take longer than a page may.

    Raises
    ------
    InfeasibleError
        If even one order would.
    """
    count = comparison.num_inputs(*documents)
    each_s = uploads.POINT_SHARE * uploads.expected_s(scenario)
    if count * each_s > uploads.MOST_S:
        raise InfeasibleError(
            f"{count} inputs differ: more than a page attributes",
            fix="the command line: estimator compare",
        )
    return attribution.num_evaluations(count) * each_s > uploads.MOST_S


def _documents(question: Question, baseline: str) -> list[Any]:
    before = loading.scenario_document(baseline)
    with reading.built_in_only(besides=question.scenario):
        after = loading.scenario_document(question.scenario, question.overrides)
    if question.overrides:
        after.put("name", f"{after['name']}, changed", after.place)
    return [before, after]


def _numbers(made: Comparison) -> None:
    before, after = made.reports
    changes = made.changes[1]
    rows = [
        ("Cost", dollars(after.cost_usd), changes["cost_change"]),
        ("GPU-hours", short(after.gpu_hours), changes["gpu_hours_change"]),
        ("Wall time", duration(after.wall_s), changes["wall_change"]),
        ("MFU", f"{after.step.mfu:.1%}", after.step.mfu / before.step.mfu - 1),
    ]
    with st.container(horizontal=True, horizontal_alignment="distribute"):
        for label, value, ratio in rows:
            st.metric(
                label,
                plain(value),
                None if ratio is None else relative(ratio),
                delta_color="normal" if label == "MFU" else "inverse",
                width=WIDE,
            )


def _inputs(shares: tuple[Share, ...]) -> None:
    """Show the inputs that differ, and what each one adds."""
    st.markdown("**What differs**")
    rows = []
    for share in sorted(shares, key=lambda share: -abs(share.cost_usd)):
        path, _, change = brief(share.input).partition(": ")
        rows.append(
            {
                "Input": breakable(plain(path)),
                "Change": breakable(plain(change)),
                "Cost": signed(dollars(share.cost_usd)),
                "GPU-hours": signed(short(share.gpu_hours)),
            }
        )
    st.table(pd.DataFrame(rows), border="horizontal", hide_index=True)


def _results(made: Comparison) -> None:
    """Show the results that differ."""
    before, after = made.reports
    rows = [
        {"Result": name, "Baseline": plain(old), "Now": plain(new)}
        for name, cell in tables_compare.NUMBERS.items()
        if (old := cell(before)) != (new := cell(after))
    ]
    st.table(pd.DataFrame(rows), border="horizontal", hide_index=True)


def _leaves(question: Question, baseline: str) -> None:
    """Show every single number that differs, also inside of named files."""
    before, after = _documents(question, baseline)
    rows = []
    for path in attribution.changed(before, after):
        made = attribution.change(path, before, after)
        rows.append({"Path": made.name, "Baseline": made.old, "Now": made.new})
    words = (
        f"All {len(rows)} fields that differ" if rows[1:] else "The field that differs"
    )
    with st.expander(words):
        st.dataframe(pd.DataFrame(rows), hide_index=True)


def _reproduce(question: Question, baseline: str, made: Comparison) -> None:
    command = ""
    name, *patches = question.words
    if not patches:
        command = shlex.join(["estimator", "compare", baseline, name])
        st.markdown("**The same on the command line**")
        st.code(f"{command} --chart why.svg", language="bash", wrap_lines=True)
    result = Result(made.scenarios, made.reports, command, comparison=made)
    with st.popover("Download these numbers"):
        buttons(of_tables(lambda: result, result.title))
