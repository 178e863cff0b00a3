"""The Estimate page: what it takes, whether it fits, where it goes, why we think so."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from estimator.errors import EstimatorError
from estimator.pages import downloads
from estimator.pages.question import Question
from estimator.pages.show import figure, let_numbers_paint
from estimator.pages.text import breakable, plain
from estimator.report import Assumption, Report
from estimator.units import DAY_S
from estimator.wording import (
    IF_IT_DID,
    LAYER_WORDS,
    brief,
    does_not_fit,
    quantity,
    short,
    weight,
)

NARROW = 164
"""Pixels of a number, so that two stand side by side on a phone."""
VIEW = "view"
"""The key of the tab that is open."""


def page(question: Question) -> None:
    """Show the estimate of what the controls ask, or one message that says why not."""
    try:
        report = question.report
    except EstimatorError as error:
        st.error(plain(str(error)))
        return
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
    if not report.memory.fits:
        st.error(plain(f"{does_not_fit(report.memory)}\n{IF_IT_DID}"))
    st.subheader(
        plain(f"{report.scenario} on {report.num_gpus:,} x {report.gpu}"), anchor=False
    )
    changed = ", ".join(question.overrides)
    st.caption(plain(f"Changed: {changed}" if changed else report.question))
    _numbers(report)
    _badges(report)
    st.caption(
        plain(
            "Ranges: every sourced constant between its ends, independent effects "
            f"added in squares. Not counted: {report.not_counted}."
        )
    )


def _numbers(report: Report) -> None:
    step = report.step
    dollars, hours = report.range["cost_usd"], report.range["gpu_hours"]
    shown = [
        ("Cost", f"${short(report.cost_usd)}", [f"${short(end)}" for end in dollars]),
        ("GPU-hours", short(report.gpu_hours), [short(end) for end in hours]),
        (
            "Wall time",
            f"{report.wall_s / DAY_S:.1f} days",
            [f"{end / DAY_S:.1f}" for end in report.wall_range_s],
        ),
        ("MFU", f"{step.mfu:.1%}", [f"{end:.1%}" for end in report.mfu_range]),
    ]
    helps = {
        "Cost": "GPU-hours at the price in the sidebar.",
        "Wall time": f"On {report.num_gpus:,} x {report.gpu}, without interruption.",
        "MFU": "Causal attention, of the BF16 peak; "
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
    verb, colour = ("Fits", "green") if memory.fits else ("Does not fit", "red")
    with st.container(horizontal=True):
        st.badge(
            f"{verb}: {memory.peak_bytes / 1e9:.1f} of {memory.hbm_bytes / 1e9:.1f} GB "
            f"on rank {memory.rank}",
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
                    else ":orange-badge[published]",
                    "GPU-hours": short(phase.gpu_hours),
                    "USD": short(phase.cost_usd),
                    "Days": f"{phase.wall_s / DAY_S:.1f}",
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
    st.caption(
        "Effect: the step's change at the low and at the high end of a constant. "
        "Sources were read unless a mark says derived, recalled, assumed or set."
    )
    rows = question.report.assumptions
    for layer, words in LAYER_WORDS.items():
        here = [row for row in rows if row.layer == layer]
        st.markdown(f"**{words}**")
        for row in here:
            if isinstance(row.value, str):
                st.markdown(plain(row.value))
        numbers = [row for row in here if not isinstance(row.value, str)]
        if numbers:
            frame = pd.DataFrame(
                _row(row) for row in sorted(numbers, key=weight, reverse=True)
            )
            is_used = (frame != "").any()
            st.table(frame.loc[:, is_used], border="horizontal", hide_index=True)


def _row(row: Assumption) -> dict[str, str]:
    value, effect = quantity(float(row.value), row.unit), ""
    if row.low is not None and row.high is not None:
        ends = (quantity(end, row.unit) for end in (row.low, row.high))
        value += f" ({' to '.join(ends)})"
    if row.step_effect:
        effect = ", ".join(f"{ratio - 1:+.1%}" for ratio in row.step_effect)
    status = "" if row.status == "read" else f" :gray-badge[{row.status}]"
    return {
        "Constant": breakable(plain(brief(row.name))),
        "Value (range)": plain(value),
        "Effect": plain(effect),
        "Source": breakable(plain(row.source)) + status,
    }


def _reproduce(question: Question) -> None:
    st.markdown("**The same on the command line**")
    st.code(question.command, language="bash", wrap_lines=True)
