"""The track record on a terminal: every error, then what they come to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from rich.console import Console
from rich.text import Text

from estimator.ground.words import CLOSE, duration, short, size
from estimator.show.console import console
from estimator.show.tables.words import Column, Words
from estimator.validation.peers import against_peers
from estimator.validation.runs import Outcome
from estimator.validation.scoring import (
    GROUPS,
    LEAST_IN_SWEEP,
    LEAST_SPREAD,
    Row,
    families,
    grouped,
    of_quantity,
    spread,
    worst,
)

WIDTH = 118
NUM_WORST = 10
Cells = Sequence[str]
Columns = tuple[Column, ...]


class Quantity(NamedTuple):
    """What a measured quantity is called, and the unit that it is told in."""

    title: str
    unit: str


QUANTITIES: Mapping[str, Quantity] = {
    "step_s": Quantity("Step time", "s"),
    "peak_bytes": Quantity("Peak memory", "GB"),
    "gpu_hours": Quantity("GPU-hours", "K"),
    "fits": Quantity("Fits in memory", ""),
}


def texts(*heads: str) -> Columns:
    """Return columns of words, which begin on the left."""
    return tuple(Column(head) for head in heads)


def numbers(*heads: str) -> Columns:
    """Return columns of numbers, which end on the right."""
    return tuple(Column(head, "right") for head in heads)


UNMAPPED_COLUMNS = texts("record", "reason")


def percent(value: float | None, *, is_signed: bool = False) -> str:
    """Return a fraction in percent, or a dash where there is none.

    >>> percent(0.0724), percent(-0.0724, is_signed=True), percent(None)
    ('7.2 %', '-7.2 %', '-')
    """
    if value is None:
        return "-"
    return f"{value:{'+' if is_signed else ''}.1%}".replace("%", " %")


def shown(row: Row) -> tuple[str, str, str]:
    """Return a row's measured and predicted value and its error, in words."""
    if row.quantity == "fits":
        words = [
            "fits" if value else "does not" for value in (row.measured, row.predicted)
        ]
        return words[0], words[1], "wrong" if row.error else "right"
    said = {"step_s": duration, "peak_bytes": size}.get(row.quantity, short)
    return (
        said(row.measured, CLOSE),
        said(row.predicted, CLOSE),
        percent(row.error, is_signed=True),
    )


def family_lines(rows: Sequence[Row]) -> Iterator[Cells]:
    """Yield a line for each family and GPU: its errors, and the worst run."""
    for members in grouped(of_quantity(rows, "step_s"), "family_and_gpu").values():
        made = spread([row.error for row in members])
        (last,) = worst(members, 1)
        yield (
            members[0].family,
            members[0].gpu,
            str(len(members)),
            percent(made["median_abs_error"]),
            percent(made["p90_abs_error"]),
            percent(made["bias"], is_signed=True),
            f"{percent(last.error, is_signed=True)} {last.id}",
        )


FAMILY_COLUMNS = (
    *texts("family", "GPU"),
    *numbers("runs", "median", "p90", "bias"),
    *texts("worst"),
)


def mean_lines(summary: Mapping[str, Any]) -> Iterator[Cells]:
    """Yield what all families come to, by kind of model."""
    for kind, mean in summary["mean_of_families"].items():
        runs = summary["runs"].get(kind)
        if runs:
            yield (
                kind,
                str(runs["num_runs"]),
                percent(mean["median_abs_error"]),
                percent(mean["p90_abs_error"]),
                percent(mean["bias"], is_signed=True),
                percent(runs["median_abs_error"]),
                percent(runs["p90_abs_error"]),
                percent(runs["bias"], is_signed=True),
            )


MEAN_COLUMNS = (
    *texts("models"),
    *numbers("runs", "mean of family medians", "of their p90", "of their bias"),
    *numbers("median of runs", "p90 of runs", "bias of runs"),
)


GROUP_COLUMNS = (*texts("by", "group"), *numbers("runs", "median", "p90", "bias"))


def group_lines(rows: Sequence[Row]) -> Iterator[Cells]:
    """Yield the errors of step time by accelerator, model, plan, scale and release."""
    for name, key in GROUPS.items():
        for group, made in families(rows, key).items():
            yield (
                name.replace("_", " "),
                group,
                f"{made['num_runs']:,}",
                percent(made["median_abs_error"]),
                percent(made["p90_abs_error"]),
                percent(made["bias"], is_signed=True),
            )


def memory_words(summary: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the predictions of memory are worth, in sentences."""
    if made := summary["memory"]:
        yield (
            f"Peak memory of {made['num_runs']} runs: median |error| "
            f"{percent(made['median_abs_error'])}, bias "
            f"{percent(made['bias'], is_signed=True)}."
        )
    labels = summary["out_of_memory"]
    yield (
        f"Out of memory: {labels['num_labels']} labels, "
        f"{labels['num_out_of_memory']} of plans that did not fit; "
        f"{labels['num_predicted']} predicted not to fit, {labels['num_right']} of "
        f"them rightly: precision "
        f"{percent(labels['precision'])}, recall {percent(labels['recall'])}."
    )


def sweep_words(summary: Mapping[str, Any]) -> str:
    """Return the worst ranking of plans inside a sweep, as a sentence."""
    least = summary["least_rank_correlation"]
    if least is None:
        return (
            f"No mapping sweep with {LEAST_IN_SWEEP} timed runs or more spreads by "
            f"{LEAST_SPREAD} or more."
        )
    told = sum(made["spread"] >= LEAST_SPREAD for made in summary["sweeps"])
    return (
        f"Ranking of plans inside {told} mapping sweeps: Spearman's correlation at "
        f"least {least:.2f}."
    )


SWEEP_COLUMNS = (
    *texts("sweep", "GPUs"),
    *numbers("runs", "slowest / fastest", "rank correlation"),
)


def sweep_lines(summary: Mapping[str, Any]) -> Iterator[Cells]:
    """Yield the mapping sweeps with their rank correlation."""
    for made in summary["sweeps"]:
        yield (
            f"{made['family']} {made['model']}",
            f"{made['num_gpus']} x {made['gpu']}",
            str(made["num_runs"]),
            f"{made['spread']:.2f}",
            f"{made['spearman']:.2f}",
        )


PEER_COLUMNS = (
    *texts("rows of"),
    *numbers("runs", "mean |error|"),
    *texts("other simulator"),
    *numbers("its mean |error|"),
)


def peer_lines(outcome: Outcome) -> Iterator[Cells]:
    """Yield our error beside that of others on the same rows."""
    for made in against_peers(outcome.rows, outcome.peers):
        yield (
            outcome.title(made["family"]),
            str(made["num_runs"]),
            percent(made["mean_abs_error"]),
            made["peer"],
            percent(made["peer_mean_abs_error"]),
        )


ROW_COLUMNS = (
    *texts("run"),
    *numbers("measured", "predicted", "error", "other simulator", "its error"),
)


def peer_row_lines(outcome: Outcome) -> Iterator[Cells]:
    """Yield the runs that others predicted too, one by one."""
    for made in against_peers(outcome.rows, outcome.peers):
        for row in made["rows"]:
            yield (
                row["id"],
                duration(row["measured"], CLOSE),
                duration(row["predicted"], CLOSE),
                percent(row["error"], is_signed=True),
                f"{short(row['peer_predicted'])} {made['peer']}",
                percent(row["peer_error"], is_signed=True),
            )


ANCHOR_COLUMNS = (
    *texts("DeepSeek-V3"),
    *numbers("measured", "predicted", "error", "tolerance"),
)


def anchor_lines(outcome: Outcome) -> Iterator[Cells]:
    """Yield the rows of the main scenario, each with its own tolerance."""
    for made in outcome.anchors:
        yield (
            made.name,
            short(made.measured, CLOSE),
            short(made.predicted, CLOSE),
            percent(made.error, is_signed=True),
            percent(made.tolerance),
        )


WORST_COLUMNS = (
    *texts("run"),
    *numbers("measured", "predicted", "error"),
    *texts("plan"),
)
RUN_COLUMNS = (
    *texts("run", "GPU"),
    *numbers("GPUs", "measured", "predicted", "error"),
)


def count_words(summary: Mapping[str, Any]) -> str:
    """Return how many of the records have a prediction, as a sentence."""
    told, all_records = summary["num_mapped"], summary["num_records"]
    return f"{told} of {all_records} records have a prediction."


def print_outcome(outcome: Outcome) -> None:
    """Print every run with its error, then families, means, sweeps and memory."""
    out = console(WIDTH)
    for quantity, rows in grouped(outcome.rows, "quantity").items():
        _print(out, QUANTITIES[quantity].title, RUN_COLUMNS, _runs(rows))
    summary = outcome.summary()
    for title, columns, lines in (
        ("Step time by source family", FAMILY_COLUMNS, family_lines(outcome.rows)),
        ("Over families", MEAN_COLUMNS, mean_lines(summary)),
        ("By what they ran on and how", GROUP_COLUMNS, group_lines(outcome.rows)),
        ("Furthest off", WORST_COLUMNS, _worst(outcome)),
        ("Ranking of plans inside sweeps", SWEEP_COLUMNS, sweep_lines(summary)),
        ("Beside other simulators", PEER_COLUMNS, peer_lines(outcome)),
        ("The same, run by run, s", ROW_COLUMNS, peer_row_lines(outcome)),
        ("The main scenario", ANCHOR_COLUMNS, anchor_lines(outcome)),
        ("Without a prediction", UNMAPPED_COLUMNS, _unmapped(outcome)),
    ):
        _print(out, title, columns, lines)
    for line in (sweep_words(summary), *memory_words(summary)):
        out.print(line)
    out.print(count_words(summary))


def _print(out: Console, title: str, columns: Columns, lines: Iterable[Cells]) -> None:
    table = Words(f"\n{title}", columns, overflow="ellipsis")
    for line in lines:
        table.add_row(*(Text(cell) for cell in line))
    if table.rows:
        out.print(table)


def _runs(rows: Sequence[Row]) -> Iterator[Cells]:
    for row in rows:
        yield (row.id, row.gpu, f"{row.num_gpus:,}", *shown(row))


def _worst(outcome: Outcome) -> Iterator[Cells]:
    for row in worst(outcome.rows, NUM_WORST):
        yield (row.id, *shown(row), row.plan)


def _unmapped(outcome: Outcome) -> Iterator[Cells]:
    for made in outcome.unmapped:
        yield (made.id, made.reason)
