"""The What-if page: two inputs varied, a map, lines, and H100 against H800."""

from __future__ import annotations

import math
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import streamlit as st

from estimator.answer import provenance
from estimator.explore import points, sweeps
from estimator.faces import uploads
from estimator.faces.pages import links
from estimator.faces.pages.drawing import draw
from estimator.faces.pages.inputs import BY_WORDS, INPUTS, NODE, Number, Offer, told
from estimator.faces.pages.question import Question
from estimator.faces.pages.text import plain
from estimator.faces.pages.turns import in_turn
from estimator.ground.errors import InfeasibleError
from estimator.ground.words import duration
from estimator.show.findings.what_if import (
    MEASURES,
    Answers,
    Measure,
    fitted,
    lines,
    what_if,
)
from estimator.show.wording import price_words
from estimator.specs.scenario import Scenario

KEPT = 32
NARROW, WIDE = 108, 230
"""Pixels of an end of a range, three of which stand beside each other on a phone; and
of a limit."""
MOST_VALUES = 40
MOST_LINES = 6
MOST_REASONS = 8
MOST_S = 1.3
"""Seconds for the combinations of one of the page's two figures."""
LABELS = {
    "cost_usd": "Cost",
    "wall_s": "Wall time",
    "gpu_hours": "GPU-hours",
    "mfu": "MFU",
}
MAP, LINES = "Map", "Lines"


def page(question: Question) -> None:
    """Show what a number becomes as two inputs change, or one message why not."""
    scenario, now = question.resolved, question.report
    st.subheader(plain(f"What if {scenario.name} had other inputs?"), anchor=False)
    changed = ", ".join(question.overrides)
    st.caption(
        plain(
            f"Changed in the sidebar: {changed}."
            if changed
            else "Everything else as in the sidebar."
        )
    )
    column = _measure()
    own = now.row()
    x, y = _axes(scenario)
    limit = _limit(fitted(own)[column], own[column])
    if column == "cost_usd":
        st.caption(plain(f"{price_words(now)}."))
    _chosen(question, column, limit, x, y)
    _nodes(question, column, limit, x, scenario)


_sweep = in_turn(sweeps.sweep)


class Varied(NamedTuple):
    """An input and its values."""

    input: Number | Offer
    chosen: tuple[Any, ...]


def _measure() -> str:
    shown = st.segmented_control(
        "Show",
        list(LABELS.values()),
        default="Cost",
        required=True,
        key="show",
        bind="query-params",
    )
    return next(key for key, words in LABELS.items() if words == shown)


def _axes(scenario: Scenario) -> tuple[Varied, Varied]:
    """Show the controls of both inputs, side by side where there is room."""
    words = [each.words for each in INPUTS if each.is_in(scenario)]
    left, right = st.columns(2)
    with left:
        x = _axis("across", words, 0, scenario)
    with right:
        y = _axis("up", words, 1, scenario)
    return x, y


def _axis(side: str, words: list[str], start: int, scenario: Scenario) -> Varied:
    """Show the controls of one input: which it is, and its values."""
    chosen = st.selectbox(
        side.capitalize(),
        words,
        index=start,
        key=side,
        bind="query-params",
        on_change=_keep_apart,
        args=(side, words),
    )
    each = BY_WORDS[str(chosen)]
    if isinstance(each, Offer):
        return Varied(each, _chosen_names(each, side, scenario))
    return Varied(each, _chosen_numbers(each, side, scenario))


def _keep_apart(side: str, words: list[str]) -> None:
    """Give the other side another input than the one just chosen."""
    other = "up" if side == "across" else "across"
    if st.session_state[side] == st.session_state[other]:
        st.session_state[other] = next(
            each for each in words if each != st.session_state[side]
        )


def _chosen_names(each: Offer, side: str, scenario: Scenario) -> tuple[str, ...]:
    start = each.start(scenario)
    key = f"{side}_names"
    _start_again(side, each.path, scenario, {key: start})
    chosen = st.multiselect(
        "Values",
        list(dict.fromkeys((*start, *each.options()))),
        default=start,
        key=key,
        bind="query-params",
        placeholder="none",
    )
    return tuple(chosen)


def _chosen_numbers(each: Number, side: str, scenario: Scenario) -> tuple[float, ...]:
    low, high = each.ends(scenario)
    start = {f"{side}_from": low, f"{side}_to": high, f"{side}_values": each.count}
    _start_again(side, each.path, scenario, start)
    least = float(each.multiple(scenario)) if each.multiple else 0.0
    with st.container(horizontal=True):
        ends = [
            st.number_input(
                words,
                min_value=least,
                value=value,
                format="%g",
                key=f"{side}_{words.lower()}",
                bind=links.binding(f"{side}_{words.lower()}"),
                width=NARROW,
            )
            for words, value in (("From", low), ("To", high))
        ]
        count = st.number_input(
            "Values",
            min_value=1,
            max_value=MOST_VALUES,
            value=each.count,
            key=f"{side}_values",
            bind=links.binding(f"{side}_values"),
            width=NARROW,
        )
    values = each.values((min(ends), max(ends)), int(count), scenario)
    if len(values) < count:
        whole = f": whole multiples of {least:,.0f}" if each.multiple else ""
        st.caption(f"{len(values)} different values{whole}.")
    return values


def _start_again(
    side: str, path: str, scenario: Scenario, start: Mapping[str, object]
) -> None:
    """Set controls to where they start when another input or scenario is chosen."""
    about = (path, scenario.name)
    before = st.session_state.get(f"{side} is", about)
    st.session_state[f"{side} is"] = about
    if before != about:
        st.session_state.update(start)


def _limit(measure: Measure, own: float) -> float | None:
    """Show the control of a budget or deadline and return it."""
    value = st.number_input(
        f"{measure.limit.capitalize()}, {measure.unit}",
        min_value=0.0,
        value=float(f"{own / measure.one:.3g}"),
        format="%g",
        width=WIDE,
        key=f"limit of {measure.words}",
        help="A line is drawn where this is met; at first what the sidebar gives. "
        "0 draws none.",
    )
    return value or None


def _chosen(
    question: Question, column: str, limit: float | None, x: Varied, y: Varied
) -> None:
    """Show the two chosen inputs as a map or as lines."""
    if not (x.chosen and y.chosen):
        st.info("Choose at least one value of each input.")
        return
    answers, source = (
        _answers(question, x, y),
        provenance.of_scenario(question.resolved),
    )
    forms = [MAP, LINES] if answers.x.is_number else [MAP]
    form = st.segmented_control(
        "As",
        forms,
        default=MAP,
        required=True,
        key="as",
        bind="query-params",
        label_visibility="collapsed",
    )
    if form == LINES:
        draw(lines(answers.few(MOST_LINES), column, limit), "lines", source)
        if len(y.chosen) > MOST_LINES:
            told_of = f"{MOST_LINES} of {len(y.chosen)} values of {y.input.words}."
            st.caption(plain(told_of))
    else:
        draw(what_if(answers, column, limit), "map", source)
    if column == "cost_usd":
        _prices(answers)
    _reasons(answers)
    _numbers(answers)
    st.code(_command(question, x, y), language="bash", wrap_lines=True)


def _nodes(
    question: Question,
    column: str,
    limit: float | None,
    x: Varied,
    scenario: Scenario,
) -> None:
    """Show the first input under several nodes, H100 against H800 to start with."""
    if not (isinstance(x.input, Number) and x.chosen):
        return
    st.markdown("**The same under other nodes**")
    known = list(dict.fromkeys((NODE.own(scenario), *NODE.options())))
    chosen = st.multiselect(
        "Nodes",
        known,
        default=NODE.start(scenario),
        max_selections=MOST_LINES,
        key=f"nodes of {scenario.name}",
    )
    if not chosen:
        return
    answers = _answers(question, x, Varied(NODE, tuple(chosen)))
    draw(lines(answers, column, limit), "nodes", provenance.of_scenario(scenario))
    if column == "cost_usd":
        _prices(answers)
    _reasons(answers)


def _answers(question: Question, x: Varied, y: Varied) -> Answers:
    """Return the answers at every combination, one row per value of y."""
    # what holds another path comes first: a node would replace its own NVLink
    ordered = sorted((x, y), key=lambda varied: varied.input.path)
    _check_time(question.resolved, ordered)
    options = tuple(each.varied(values) for each, values in ordered)
    shape = tuple(len(values) for _, values in ordered)
    columns = {
        name: np.asarray(rows).reshape(shape)
        for name, rows in _swept(question, options).items()
    }
    if ordered[0] is x:
        columns = {name: rows.T for name, rows in columns.items()}
    return Answers(told(*x), told(*y), columns, fitted(question.report.row()))


def _check_time(scenario: Scenario, varied: Sequence[Varied]) -> None:
    """Raise where combinations would keep the page for longer than it may work."""
    structural = [len(values) for each, values in varied if each.is_structural]
    needed_s = (
        math.prod(structural) * uploads.POINT_SHARE * uploads.expected_s(scenario)
    )
    if structural and needed_s > MOST_S:
        raise InfeasibleError(
            f"{' x '.join(map(str, structural))} values are more than a page works out",
            why=f"each is a step of its own: some {duration(needed_s, 1)}; a page "
            f"takes {duration(MOST_S)} at most",
            fix="fewer values, or 'estimator sweep', which runs on all cores",
        )


@st.cache_data(max_entries=KEPT, show_spinner="Evaluating every combination")
def _swept(question: Question, vary: Sequence[str]) -> dict[str, Any]:
    columns = _sweep(question.scenario, vary, question.overrides).columns
    return {name: columns[name] for name in (*MEASURES, *points.TOLD)}


def _reasons(answers: Answers) -> None:
    """Say which combinations are the nearest that run, and why others do not work."""
    _counted(answers, "adjusted", "Changed", "{} combinations are the nearest that run")
    _counted(answers, "reason", "Why", "Why {} combinations do not work")


def _counted(answers: Answers, column: str, head: str, words: str) -> None:
    """Show how often each text of a column stands there."""
    counts = Counter(text for text in answers.columns[column].ravel() if text)
    if not counts:
        return
    shown = counts.most_common(MOST_REASONS)
    left = counts.total() - sum(number for _, number in shown)
    with st.expander(words.format(f"{counts.total():,}")):
        rows = [{head: plain(why), "Combinations": number} for why, number in shown]
        st.table(pd.DataFrame(rows), border="horizontal", hide_index=True)
        if left:
            st.caption(f"and {left:,} more")


def _prices(answers: Answers) -> None:
    """Say whose dollars they are where combinations have different prices."""
    titles = dict.fromkeys(text for text in answers.columns["price_title"].ravel())
    if len(titles) > 1:
        st.caption(plain(f"Prices: {'; '.join(filter(None, titles))}."))


def _numbers(answers: Answers) -> None:
    with st.expander("Numbers"):
        frame = answers.frame()
        st.dataframe(frame, hide_index=True)
        st.download_button(
            "Download as CSV",
            frame.to_csv(index=False),
            "what-if.csv",
            "text/csv",
            on_click="ignore",
        )


def _command(question: Question, x: Varied, y: Varied) -> str:
    options = sorted(each.varied(values) for each, values in (x, y))
    words = ["estimator", "sweep", *question.words]
    words += [word for option in options for word in ("--vary", option)]
    return shlex.join([*words, "--out", "rows.csv"])
