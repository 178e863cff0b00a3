"""The Estimate page: what it takes, whether it fits, where it goes, why we think so."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from estimator.answer.report import Assumption, Report
from estimator.faces.pages import controls, downloads
from estimator.faces.pages.question import Question
from estimator.faces.pages.show import figure, let_numbers_paint, refuse
from estimator.faces.pages.text import plain
from estimator.ground.errors import EstimatorError
from estimator.ground.words import dollars, duration, flop, quantity, short, size
from estimator.show.wording import (
    LAYER_WORDS,
    brief,
    checked_words,
    compute_words,
    how_it_fits,
    misfit,
    weight,
)

NARROW = 164
"""Pixels of a number, so that two stand side by side on a phone."""
VIEW = "view"
"""The key of the tab that is open."""


def page(question: Question) -> None:
    """Show the estimate of what the controls ask."""
    report = question.report
    _headline(question, report)
    _phases(report)
    let_numbers_paint()
    figure(question, "breakdown")
    views = {
        "Memory": _memory,
        "Constants": _constants,
        "Assumptions": _assumptions,
        "Export": downloads.show,
    }
    tabs = st.tabs(list(views), key=VIEW, bind="query-params")
    for tab, show in zip(tabs, views.values(), strict=True):
        if tab.open:
            with tab:
                show(question)
    _reproduce(question)


def _headline(question: Question, report: Report) -> None:
    """Show what was asked and the numbers; before them, where a plan does not fit."""
    if wrong := misfit(report.memory):
        (st.warning if report.memory.fits else st.error)(plain(wrong))
    st.subheader(
        plain(f"{report.scenario} on {report.num_gpus:,} x {report.gpu}"), anchor=False
    )
    changed = ", ".join(question.overrides)
    st.caption(plain(f"Changed: {changed}" if changed else report.question))
    _numbers(report)
    _badges(report)
    if report.track_record:
        st.caption(plain(f"Checked: {checked_words(report.track_record)}."))
    st.caption(
        plain(f"Training takes {flop(report.total_flop)}: {compute_words(report)}.")
    )
    st.caption(
        plain(f"Ranges: {report.range_method}. Not counted: {report.not_counted}.")
    )


def _numbers(report: Report) -> None:
    step = report.step
    cost, hours = report.range["cost_usd"], report.range["gpu_hours"]
    shown = [
        ("Cost", dollars(report.cost_usd), [*map(dollars, cost)]),
        ("GPU-hours", short(report.gpu_hours), [*map(short, hours)]),
        ("Wall time", duration(report.wall_s), [*map(duration, report.wall_range_s)]),
        ("MFU", f"{step.mfu:.1%}", [f"{end:.1%}" for end in report.mfu_range]),
    ]
    helps = {
        "Cost": "GPU-hours at the price in the sidebar.",
        "Wall time": f"On {report.num_gpus:,} x {report.gpu}, without interruption.",
        "MFU": f"Causal attention, of the {step.peak_dtype.upper()} peak; "
        f"{step.mfu_noncausal:.1%} with full attention; HFU {step.hfu:.1%}.",
    }
    with st.container(horizontal=True, horizontal_alignment="distribute"):
        for label, value, ends in shown:
            st.metric(
                label,
                plain(value),
                plain(" to ".join(ends)),
                delta_color="off",
                delta_arrow="off",
                help=helps.get(label),
                width=NARROW,
            )


def _badges(report: Report) -> None:
    memory, published = report.memory, report.published_gpu_hours
    verb = how_it_fits(memory)
    whether = "orange" if memory.fits else "red"
    colour = whether if misfit(memory) else "green"
    with st.container(horizontal=True):
        st.badge(
            f"{verb[0].upper()}{verb[1:]}: {size(memory.peak_bytes)} of "
            f"{size(memory.hbm_bytes)} on rank {memory.rank}",
            color=colour,  # type: ignore[arg-type]
        )
        if published:
            st.badge(
                f"{short(published)} GPU-hours as published, not predicted",
                color="orange",
            )


def _phases(report: Report) -> None:
    """Show what each phase takes; published ones are marked."""
    st.markdown("**Phases**")
    st.table(
        pd.DataFrame(
            [
                {
                    "Phase": plain(phase.name),
                    "Basis": "simulated"
                    if phase.basis == "simulated"
                    else f":orange-badge[{plain(phase.basis_title)}]",
                    "GPU-hours": short(phase.gpu_hours),
                    "Cost": plain(dollars(phase.cost_usd)),
                    "Wall time": duration(phase.wall_s),
                }
                for phase in report.phases
            ]
        ),
        border="horizontal",
        hide_index=True,
    )


def _memory(question: Question) -> None:
    figure(question, "memory")
    in_flight = question.report.memory.in_flight
    st.caption(
        f"Activations of up to {max(in_flight)} chunks are alive on a rank at a time."
    )


def _constants(question: Question) -> None:
    figure(question, "layers")
    figure(question, "sensitivity")


def _assumptions(question: Question) -> None:
    """Show what the estimate rests on; a value that is written over is set."""
    st.caption(
        "Write over a value to change it, with its unit. Effect: the step's change at "
        "the low and at the high end of a constant."
    )
    rows = question.report.assumptions
    numbers = [row for row in rows if not isinstance(row.value, str)]
    numbers.sort(key=lambda row: (list(LAYER_WORDS).index(row.layer), -weight(row)))
    frame = pd.DataFrame(map(_row, numbers))
    key = f"assumptions {hash(tuple(frame['Value']))}"
    st.data_editor(
        frame,
        key=key,
        hide_index=True,
        height="content",
        disabled=[name for name in frame.columns if name != "Value"],
        column_config={
            "Constant": st.column_config.TextColumn(width=240, pinned=True),
            "Known": st.column_config.TextColumn(width=90),
            "Range": st.column_config.TextColumn(width=140),
            "Effect": st.column_config.TextColumn(width=100),
            "Source": st.column_config.TextColumn(width="large"),
            "Layer": st.column_config.TextColumn(width="small"),
        },
        on_change=_set_values,
        args=(question, key, tuple(row.name for row in numbers)),
        alt="Every number that the estimate rests on, with its source",
    )
    for row in rows:
        if isinstance(row.value, str):
            st.markdown("- " + plain(row.value))


def _set_values(question: Question, key: str, paths: tuple[str, ...]) -> None:
    """Set what was written over, unless it is no value for its place."""
    for index, cells in st.session_state[key]["edited_rows"].items():
        path, value = paths[int(index)], str(cells.get("Value") or "").strip()
        try:
            controls.set_value(question, path, value)
        except EstimatorError as error:
            refuse(str(error))


def _row(row: Assumption) -> dict[str, str]:
    ends, effect = "", ""
    if row.low is not None and row.high is not None:
        ends = " to ".join(quantity(end, row.unit) for end in (row.low, row.high))
    if row.step_effect:
        effect = ", ".join(f"{ratio - 1:+.1%}" for ratio in row.step_effect)
    return {
        "Constant": brief(row.name),
        "Value": quantity(float(row.value), row.unit),
        "Range": ends,
        "Effect": effect,
        "Known": row.status,
        "Source": row.source,
        "Layer": LAYER_WORDS[row.layer],
    }


def _reproduce(question: Question) -> None:
    st.markdown("**The same on the command line**")
    st.code(question.command, language="bash", wrap_lines=True)
