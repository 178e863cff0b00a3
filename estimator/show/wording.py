"""Verdicts and titles in words: the same on a terminal, on a page and in a figure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from estimator.answer.report import Assumption, Memory, Report
from estimator.answer.track_record import TrackRecord
from estimator.ground.words import (
    CLOSE,
    MOST_CHANGE,
    dollars,
    duration,
    number,
    several,
    share,
    short,
    size,
)

LAYER_WORDS = {
    "specification": "Specification: datasheets",
    "achievable": "Achievable: micro-benchmarks of single kernels and links",
    "in-situ": "In situ: a kernel trace, computation and communication side by side",
    "software": "Software: what the framework does",
    "price": "Price, power and programme",
    "scenario": "Assumed where sources are silent",
}
LAYER_ADDS = {
    "specification": "datasheet peaks, no overhead",
    "achievable": "micro-benchmarks of single kernels and links",
    "in-situ": "a kernel trace with computation and communication side by side",
}
FIGURE_WORDS: Mapping[str, str] = {
    "breakdown": "Where the seconds of a step go",
    "ranks": "Time of a step by pipeline rank",
    "timeline": "One step over time",
    "memory": "Memory at the peak by pipeline rank",
    "layers": "From datasheets to the step",
    "sensitivity": "What the step is sensitive to",
}
"""Titles of figures, and of the tables below them."""
PART_WORDS = {
    "gpu_usd": "GPUs",
    "server_usd": "the rest of the servers",
    "network_usd": "network",
    "colocation_usd": "building",
    "energy_usd": "energy",
    "experiments_usd": "experiments",
    "staff_usd": "staff",
    "storage_usd": "storage",
    "egress_usd": "transfer",
}
"""Parts of a cost, as people call them."""
KIND_WORDS = {"dense": "dense", "moe": "MoE"}
IF_IT_DID = "Time and cost below are what it would take if it did."
_REPEATED = ("cluster.", "node.gpu.", "achievable.", "in_situ.")


OUTCOMES: Mapping[str, tuple[str, Callable[..., str]]] = {
    "gpu_hours": ("GPU-hours", short),
    "cost_usd": ("cost", dollars),
    "wall_s": ("wall time", duration),
    "step_s": ("step", duration),
}
"""Key of an answer -> its name, and how it is worded."""


def brief(name: str) -> str:
    """Return a constant's path without the parts that its table's title says.

    >>> brief("cluster.node.gpu.achievable.gemm.fp8"), brief("cluster.fabric.latency_s")
    ('gemm.fp8', 'fabric.latency_s')
    """
    for part in _REPEATED:
        name = name.removeprefix(part)
    return name


def weight(row: Assumption) -> float:
    """Return how far an assumption moves the step or the cost, both ends together."""
    effect = row.step_effect or row.cost_effect or ()
    return sum(abs(ratio - 1) for ratio in effect)


def price_words(report: Report) -> str:
    """Return whose money it is: the basis of a cost, and what an hour comes to."""
    title = report.cost_basis_title
    price = dollars(report.usd_per_gpu_hour, CLOSE)
    return f"{title[0].upper()}{title[1:]}: {price} per GPU-hour"


def compute_words(report: Report) -> str:
    """Return what operations are counted, and where they stand against the law."""
    lines = [
        f"{_over(made.share)} {number(made.flop)} ({made.brief})"
        for made in report.flop_thresholds
    ]
    said = f"model FLOP, causal attention, nothing recomputed: {', '.join(lines)}"
    if report.flop_not_counted:
        said += f"; without {', '.join(report.flop_not_counted)}: tokens not published"
    return said


def _over(ratio: float) -> str:
    """Return a part of something, or how many times it there is."""
    return f"{share(ratio)} of" if ratio < MOST_CHANGE else f"{number(ratio)} times"


def checked_words(record: TrackRecord) -> str:
    """Return how predictions like this one did against published runs."""
    kind = KIND_WORDS[record.kind]
    if record.num_runs and record.median_abs_error is not None:
        return (
            f"{_runs(record.num_runs)} of {kind} models on this GPU: median error "
            f"{record.median_abs_error:.1%}"
        )
    said = f"no published run of a {kind} model on this GPU has been checked"
    nearest = record.nearest
    if nearest is None:
        return said
    runs = _runs(nearest.num_runs)
    if nearest.kind != record.kind:
        runs += f" of {KIND_WORDS[nearest.kind]} models"
    return (
        f"{said}; nearest: {nearest.title}, {nearest.why}: {runs}, median error "
        f"{nearest.median_abs_error:.1%}"
    )


def unchecked(reports: Iterable[Report]) -> tuple[str, ...]:
    """Return a sentence for each GPU that no run was checked on, of some answers."""
    said = (
        f"{report.gpu}: {checked_words(report.track_record)}."
        for report in reports
        if report.track_record and not report.track_record.num_runs
    )
    return tuple(dict.fromkeys(said))


def _runs(count: int) -> str:
    return several(f"{count:,}", "published run")


def does_not_fit(memory: Memory) -> str:
    """Return by how much a plan exceeds the memory, and what would fit."""
    over = size(memory.peak_bytes - memory.hbm_bytes)
    return (
        f"It does not fit: rank {memory.rank} needs {size(memory.peak_bytes)}, {over} "
        f"more than {size(memory.hbm_bytes)}. {memory.advice}."
    )


def how_it_fits(memory: Memory) -> str:
    """Return whether a plan fits, and with what is to be left free."""
    if not memory.fits:
        return "does not fit"
    return "fits" if memory.fits_with_headroom else "fits without headroom"


def misfit(memory: Memory) -> str:
    """Return what is wrong with a plan's memory, in sentences; empty if nothing is."""
    if not memory.fits:
        return f"{does_not_fit(memory)} {IF_IT_DID}"
    if memory.fits_with_headroom:
        return ""
    left = size(memory.hbm_bytes - memory.peak_bytes)
    return (
        f"It fits, but leaves {left} free; memory_headroom keeps "
        f"{size(memory.headroom_bytes)} for fragments and libraries. "
        f"{memory.advice}."
    )
