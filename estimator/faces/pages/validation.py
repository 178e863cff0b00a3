"""The Validation page: published runs against their predictions, every error shown."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from estimator.answer import provenance
from estimator.faces.pages.drawing import draw
from estimator.faces.pages.question import Question
from estimator.faces.pages.text import plain
from estimator.show.findings.validation import AXES, by_size
from estimator.show.findings.validation import validation as finding
from estimator.show.validation.tables import (
    ANCHOR_COLUMNS,
    MEAN_COLUMNS,
    PEER_COLUMNS,
    QUANTITIES,
    SWEEP_COLUMNS,
    anchor_lines,
    count_words,
    mean_lines,
    memory_words,
    peer_lines,
    percent,
    sweep_lines,
    texts,
)
from estimator.validation.runs import Outcome, validate
from estimator.validation.scoring import Row, grouped, of_quantity, spread, worst

WIDE = 164
"""Pixels of a number, so that two stand side by side on a phone."""
SHORT = 190
"""Pixels of a source's name, so that a phone shows its median error beside it."""
SHOWN = ("step_s", "peak_bytes")
"""Quantities that can be drawn; of the others there are too few, or no numbers."""
PICKS = {"family": "Source", "kind": "Model", "gpu": "GPU", "split": "Split"}
"""Field of a row -> what its filter is called."""
DECIMALS = 1


def page(question: Question) -> None:
    """Show the track record; it is the same whatever the sidebar asks."""
    del question
    st.subheader("Predicted against measured", anchor=False)
    st.caption(
        "Published runs, each with its source; no constant was chosen for a run of the "
        "public split. Error = predicted / measured - 1: below zero is too fast or too "
        "small. The sidebar changes nothing here."
    )
    outcome = _outcome()
    quantity, rows = _chosen(outcome)
    if not rows:
        st.info("No run is left: choose fewer filters.")
        return
    _numbers(rows)
    families = by_size(of_quantity(outcome.rows, quantity))
    source = provenance.of_data("validation", [row.to_dict() for row in rows])
    draw(finding(rows, quantity, families), "validation", source)
    _by_family(outcome, rows)
    _runs(rows, quantity)
    _others(outcome)
    _reproduce(rows)


@st.cache_resource(show_spinner="Predicting every published run, once: half a minute")
def _outcome() -> Outcome:
    return validate()


def _chosen(outcome: Outcome) -> tuple[str, list[Row]]:
    """Show the filters; return the quantity and the rows that are left."""
    titles = {QUANTITIES[name].title: name for name in SHOWN}
    shown = st.segmented_control(
        "Quantity",
        list(titles),
        default=next(iter(titles)),
        required=True,
        key="quantity",
        bind="query-params",
    )
    quantity = titles[str(shown)]
    rows = of_quantity(outcome.rows, quantity)
    for (field, label), column in zip(
        PICKS.items(), st.columns(len(PICKS)), strict=True
    ):
        known = sorted({str(getattr(row, field)) for row in outcome.rows})
        picked = column.multiselect(
            label, known, key=f"run_{field}", bind="query-params", placeholder="all"
        )
        if picked:
            rows = [row for row in rows if getattr(row, field) in picked]
    return quantity, rows


def _numbers(rows: Sequence[Row]) -> None:
    made = spread([row.error for row in rows])
    shown = {
        "Runs": f"{len(rows):,}",
        "Median |error|": percent(made["median_abs_error"]),
        "90th percentile": percent(made["p90_abs_error"]),
        "Bias": percent(made["bias"], is_signed=True),
    }
    with st.container(horizontal=True, horizontal_alignment="distribute"):
        for label, value in shown.items():
            st.metric(plain(label), plain(value), width=WIDE)


def _by_family(outcome: Outcome, rows: Sequence[Row]) -> None:
    """Show the errors of each source, and its worst run."""
    st.markdown("**By source**")
    table = []
    for name, members in grouped(rows, "family").items():
        made = spread([row.error for row in members])
        (last,) = _worst(members)
        table.append(
            {
                "source": outcome.title(name),
                "runs": len(members),
                "median |error|, %": _percent(made["median_abs_error"]),
                "p90, %": _percent(made["p90_abs_error"]),
                "bias, %": _percent(made["bias"]),
                "worst, %": _percent(last.error),
                "worst run": last.id,
                "id": name,
            }
        )
    frame = pd.DataFrame(table).sort_values("runs", ascending=False)
    narrow = {"source": st.column_config.TextColumn(width=SHORT)}
    st.dataframe(frame, hide_index=True, column_config=narrow)


def _worst(rows: Sequence[Row]) -> list[Row]:
    """Return the row that is furthest off, by ratio where it has one."""
    if rows[0].quantity == "step_s":
        return worst(rows, 1)
    return [max(rows, key=lambda row: abs(row.error))]


def _percent(value: float) -> float:
    return round(100 * value, DECIMALS)


def _runs(rows: Sequence[Row], quantity: str) -> None:
    """Show every run, the one that is furthest off first."""
    st.markdown("**Every run, the furthest off first**")
    unit = AXES[quantity].one
    name = QUANTITIES[quantity].unit
    table: list[dict[str, Any]] = [
        {
            "error, %": _percent(row.error),
            "run": row.id,
            f"measured, {name}": float(row.measured) / unit,
            f"predicted, {name}": float(row.predicted) / unit,
            "GPU": row.gpu,
            "GPUs": row.num_gpus,
            "model": row.kind,
            "plan": row.plan,
            "source": f"{row.source}; {row.where}".strip("; "),
            "assumed": "; ".join(row.assumptions),
        }
        for row in sorted(rows, key=lambda row: -abs(row.error))
    ]
    st.dataframe(pd.DataFrame(table), hide_index=True)


def _others(outcome: Outcome) -> None:
    """Say what has no point in the figure: memory labels, records left out."""
    summary = outcome.summary()
    for line in (count_words(summary), *memory_words(summary)):
        st.caption(plain(line))
    tables = {
        "Over families": (MEAN_COLUMNS, mean_lines(summary)),
        "Ranking of plans inside sweeps": (SWEEP_COLUMNS, sweep_lines(summary)),
        "Beside other simulators": (PEER_COLUMNS, peer_lines(outcome)),
        "The main scenario": (ANCHOR_COLUMNS, anchor_lines(outcome)),
        "Without a prediction": (
            texts("record", "why"),
            ((lost.id, lost.reason) for lost in outcome.unmapped),
        ),
    }
    for title, (columns, lines) in tables.items():
        frame = pd.DataFrame(list(lines), columns=[column.head for column in columns])
        if len(frame):
            with st.expander(title):
                st.dataframe(frame, hide_index=True)


def _reproduce(rows: Sequence[Row]) -> None:
    families = {row.family for row in rows}
    words = ["estimator", "validate"]
    if len(families) == 1:
        words += ["--family", *families]
    st.markdown("**The same on the command line**")
    st.code(shlex.join(words), language="bash", wrap_lines=True)
