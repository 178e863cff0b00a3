"""The Schedule page: one step on a time axis, and another schedule beside it."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from estimator.faces.pages.controls import TRAINING
from estimator.faces.pages.question import Question
from estimator.faces.pages.show import figure, under_finding
from estimator.faces.pages.text import plain
from estimator.ground.words import duration, size
from estimator.show.charts.timeline import drawn
from estimator.show.findings.base import Timeline
from estimator.show.findings.timeline import (
    WINDOWS,
    alive,
    step_timelines,
    timeline,
    windows,
)
from estimator.specs.layout import EVEN

MOST_DRAWN = 10_000
"""Chunks of a step up to which it is drawn."""
NARROW = 164
"""Pixels of a number, so that two stand side by side on a phone."""
NONE, WHOLE = "none", "whole step"
EVENLY, PER_RANK = f"plan.stage_layout={EVEN}", "plan.stages_per_rank=null"
ADAPTED: Mapping[str, tuple[str, ...]] = {
    "": (),
    ", even stages": (EVENLY,),
    ", its own stages per rank": (PER_RANK,),
    ", its own even stages": (EVENLY, PER_RANK),
}
"""What a second schedule may change of the plan, the least first."""
AGAINST = "against"
"""The key of the second schedule."""


def page(question: Question) -> None:
    """Show one step of what the controls ask, or one message that says why not."""
    report = question.report
    st.subheader(
        plain(f"One step of {report.scenario}: {duration(report.step.step_s)}"),
        anchor=False,
    )
    own = question.resolved.plan.schedule
    beside = st.selectbox(
        "Second schedule",
        [NONE, *(name for name in TRAINING if name != own)],
        key=AGAINST,
        bind="query-params",
        width=300,
        help="The same scenario with another schedule, on the same time axis.",
    )
    asked = {own: question}
    if beside != NONE:
        asked |= _other(question, str(beside))
    _numbers(asked)
    if any(_num_chunks(each) > MOST_DRAWN for each in asked.values()):
        st.info(
            f"A step of {report.step.num_microbatches:,} micro-batches on "
            f"{len(report.step.ranks)} ranks is too long to draw; its seconds by rank "
            "are below."
        )
    else:
        _timeline(timeline(question) if len(asked) == 1 else step_timelines(asked))
        _alive(asked)
    figure(question, "ranks")


def _other(question: Question, name: str) -> dict[str, Question]:
    """Return the same question with another schedule, with other stages if it must."""
    plain_name = question.patched(f"plan.schedule={name}")
    for words, patches in ADAPTED.items():
        made = plain_name.patched(*patches)
        if not made.problem:
            return {name + words: made}
    st.warning(plain(plain_name.problem))
    return {}


def _num_chunks(question: Question) -> int:
    step, plan = question.report.step, question.resolved.plan
    stages = plan.pp * (plan.stages_per_rank or 1)
    return 2 * step.num_microbatches * stages


def _numbers(asked: dict[str, Question]) -> None:
    """Show each schedule's numbers, the second one's below the first one's."""
    rows = []
    for name, question in asked.items():
        step, memory = question.report.step, question.report.memory
        rows.append(
            {
                "name": name,
                "Step": duration(step.step_s),
                "Bubble": f"{step.bubble_fraction:.1%}",
                "Chunks in flight": f"{max(memory.in_flight)}",
                "Peak memory": size(memory.peak_bytes),
            }
        )
    first, *others = rows
    helps = {
        "Bubble": "Share of the step in which ranks wait, mean over ranks.",
        "Chunks in flight": "The most activations that a rank keeps at once.",
        "Peak memory": "Of the rank whose memory is fullest.",
    }
    with st.container(horizontal=True, horizontal_alignment="distribute"):
        for label, value in first.items():
            if label == "name":
                continue
            st.metric(
                label,
                plain(value),
                plain(f"{others[0][label]} with {others[0]['name']}")
                if others
                else None,
                delta_color="off",
                delta_arrow="off",
                help=helps.get(label),
                width=NARROW,
            )


def _timeline(made: Timeline) -> None:
    """Show steps, whole or in windows where they are long."""
    shown, parts = drawn(made), windows(made)
    if len(parts) > 1:
        ranges = dict(zip(WINDOWS, parts, strict=True)) | {WHOLE: (0.0, made.end_s)}
        part = st.segmented_control(
            "Part of the step", list(ranges), default=WHOLE, required=True, key="part"
        )
        shown.update_xaxes(range=list(ranges[str(part)]))
    under_finding(shown, "timeline")


def _alive(asked: dict[str, Question]) -> None:
    """Show the chunks in flight over time on each schedule's rank with the most."""
    frames, said = [], []
    for name, question in asked.items():
        in_flight = question.report.memory.in_flight
        rank = in_flight.index(max(in_flight))
        points = alive(question.trace, rank)
        label = f"{name}, rank {rank}"
        said.append(f"{label}: at most {max(count for _, count in points)}")
        seconds, counts = zip(*points, strict=True)
        frames.append(
            pd.DataFrame({"seconds": seconds, "chunks": counts, "schedule": label})
        )
    st.markdown(f"**{plain('Activations kept, ' + '; '.join(said))}**")
    st.line_chart(
        pd.concat(frames),
        x="seconds",
        y="chunks",
        color="schedule",
        x_label="seconds since the step began",
        y_label="chunks in flight",
        height=260,
    )
