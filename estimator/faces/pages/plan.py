"""The Plan page: the best parallel plans that fit, and what speed costs."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any, NamedTuple

import pandas as pd
import streamlit as st

from estimator.answer import provenance
from estimator.explore.plan.ranking import PlanRow, Plans, evaluated
from estimator.explore.plan.search import plan
from estimator.faces.pages import links
from estimator.faces.pages.drawing import draw
from estimator.faces.pages.question import Question
from estimator.faces.pages.text import plain
from estimator.ground.words import (
    BYTES,
    CLOSE,
    TIME,
    counted,
    dollars,
    duration,
    rung,
    size,
)
from estimator.show.findings.pareto import pareto
from estimator.show.wording import price_words
from estimator.specs.scenario import Scenario

KEPT = 8
"""Searches kept for a session."""
FOUND = "plans found"
FACTORS = (0.25, 0.5, 1, 2, 4)
"""Numbers of GPUs offered, over the scenario's own."""
START = (0.5, 1, 2)
OBJECTIVES = {"Cost": "cost_usd", "Wall time": "wall_s"}
LEAST, MOST, USUAL = 10, 240, 60
"""Plans evaluated in full for each number of GPUs."""
TOP = 20
WIDE = 164
"""Pixels of a number, so that two stand side by side on a phone."""


class Search(NamedTuple):
    """What is searched: equal searches have equal answers."""

    question: Question
    gpus: tuple[int, ...]
    objective: str
    most: int


def page(question: Question) -> None:
    """Show the best plans of what the controls ask, found when asked for."""
    scenario, report = question.resolved, question.report
    st.subheader(plain(f"The best plans for {scenario.name}"), anchor=False)
    st.caption(
        "Every way to spread the model and its ZeRO shards over the GPUs gets a lower "
        "bound of its time; "
        "the most promising ones are evaluated as any scenario is. "
        + plain(f"{price_words(report)}.")
    )
    search = _asked(question, scenario)
    is_wanted = st.button("Find plans", type="primary", disabled=not search.gpus)
    kept: dict[Search, Plans] = st.session_state.setdefault(FOUND, {})
    if is_wanted and search not in kept:
        kept[search] = _searched(search)
        while len(kept) > KEPT:
            kept.pop(next(iter(kept)))
    if search in kept:
        _answer(search, kept[search], scenario)
        return
    st.info(
        "A search takes a quarter of a minute or so for each number of GPUs."
        + " The inputs have changed since the last one: search again." * bool(kept)
    )
    st.markdown("**The scenario's own plan**")
    own = evaluated(scenario)
    if own:
        st.dataframe(_frame([own]), hide_index=True, placeholder="")


def _asked(question: Question, scenario: Scenario) -> Search:
    """Show the controls of the search and return what they ask."""
    own, multiple = scenario.cluster.num_gpus, scenario.cluster.node.gpus_per_node
    offered = {
        factor: max(multiple, round(own * factor / multiple) * multiple)
        for factor in FACTORS
    } | {1: own}
    gpus = st.multiselect(
        "Numbers of GPUs",
        sorted(set(offered.values())),
        default=sorted({offered[factor] for factor in START}),
        key=f"GPUs of {scenario.name} on {own}",
        format_func="{:,}".format,
    )
    with st.container(horizontal=True):
        objective = st.segmented_control(
            "Least",
            list(OBJECTIVES),
            default="Cost",
            required=True,
            key="least",
            bind="query-params",
        )
        most = st.number_input(
            "Plans evaluated",
            min_value=LEAST,
            max_value=MOST,
            value=USUAL,
            step=10,
            key="evaluated",
            bind=links.binding("evaluated"),
            width=WIDE,
            help="In full, for each number of GPUs; more take longer and may find "
            "better ones.",
        )
    return Search(question, tuple(gpus), OBJECTIVES[str(objective)], int(most))


def _searched(search: Search) -> Plans:
    """Search, and show how far it is."""
    bar = st.progress(0.0, "Bounding every plan")

    def tell(done: int, total: int) -> None:
        words = f"{done:,} of at most {total:,} plans evaluated"
        bar.progress(min(done / total, 1.0), words)

    try:
        return plan(
            search.question.resolved,
            gpus=search.gpus,
            objective=search.objective,
            top=TOP,
            most_evaluated=search.most,
            progress=tell,
        )
    finally:
        bar.empty()


def _answer(search: Search, made: Plans, scenario: Scenario) -> None:
    best = made.plans[0]
    _numbers(made, best)
    st.caption(plain(_counts(made)))
    others = [row for row in made.plans if row not in made.pareto and row != made.given]
    draw(
        pareto(made.pareto, others, made.given),
        "pareto",
        provenance.of_scenario(scenario),
    )
    st.markdown("**Plans, the best first; choose one for its command line**")
    picked = st.dataframe(
        _frame(made.plans),
        hide_index=True,
        placeholder="",
        on_select="rerun",
        selection_mode="single-row",
        key="plan rows",
    )
    rows = picked["selection"]["rows"]
    chosen = made.plans[rows[0] if rows and rows[0] < len(made.plans) else 0]
    st.markdown("**The chosen plan on the command line**")
    patches = [word for patch in chosen.overrides for word in ("--set", patch)]
    command = shlex.join(["estimator", "run", *search.question.words, *patches])
    st.code(command, language="bash", wrap_lines=True)
    st.markdown("**The search on the command line**")
    st.code(_command(search), language="bash", wrap_lines=True)


def _numbers(made: Plans, best: PlanRow) -> None:
    """Show the best plan's numbers, and how far they are from the own plan's."""
    shown = {
        "Cost": (dollars(best.cost_usd), "cost_usd"),
        "Wall time": (duration(best.wall_s), "wall_s"),
        "MFU": (f"{best.mfu:.1%}", "mfu"),
        "Memory": (size(best.memory_bytes), "memory_bytes"),
    }
    with st.container(horizontal=True, horizontal_alignment="distribute"):
        for label, (words, name) in shown.items():
            own = getattr(made.given, name) if made.given else None
            st.metric(
                label,
                plain(words),
                f"{getattr(best, name) / own - 1:+.1%}" if own else None,
                delta_color="normal" if label == "MFU" else "inverse",
                help="The best plan; below, against the scenario's own.",
                width=WIDE,
            )


def _counts(made: Plans) -> str:
    proof = (
        "no other can be better than those shown"
        if made.is_proven
        else "one that was not evaluated may still be better"
    )
    return (
        f"{made.num_considered:,} plans considered, {made.num_feasible:,} may fit with "
        f"{made.memory_headroom:.1%} of the memory free, {made.num_evaluated:,} "
        f"evaluated: {proof}."
    )


def _frame(rows: Sequence[PlanRow]) -> pd.DataFrame:
    """Return plans as a table, what they take first."""
    cost = counted(max((row.cost_usd for row in rows), default=0.0), "USD")
    wall = rung(max((row.wall_s for row in rows), default=0.0), TIME)
    held = rung(max((row.memory_bytes for row in rows), default=0.0), BYTES)
    table: list[dict[str, Any]] = [
        {
            f"cost, {cost.unit}": _close(row.cost_usd / cost.one),
            f"wall time, {wall.unit}": _close(row.wall_s / wall.one),
            "GPUs": row.num_gpus,
            "MFU, %": round(100 * row.mfu, 1),
            f"memory, {held.unit}": _close(row.memory_bytes / held.one),
        }
        | {name.replace("_", " "): _cell(value) for name, value in row.plan.items()}
        for row in rows
    ]
    return pd.DataFrame(table)


def _close(value: float) -> float:
    return float(f"{value:.{CLOSE}g}")


def _cell(value: Any) -> Any:
    """Return part of a plan as a table shows it."""
    return ", ".join(value) if isinstance(value, list) else value


def _command(search: Search) -> str:
    words = ["estimator", "plan", *search.question.words]
    words += ["--gpus", ",".join(map(str, search.gpus))]
    words += ["--objective", search.objective, "--top", str(TOP)]
    return shlex.join([*words, "--evaluate", str(search.most)])
