"""Numbers and verdicts in words: the same on a terminal, on a page and in a figure."""

from __future__ import annotations

from collections.abc import Mapping

from estimator.report import Assumption, Memory, Report

LAYER_WORDS = {
    "specification": "Specification: datasheets",
    "achievable": "Achievable: micro-benchmarks of single kernels and links",
    "in-situ": "In situ: a kernel trace, computation and communication side by side",
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
    "ranks": "Seconds of a step by pipeline rank",
    "timeline": "One step over time",
    "memory": "Memory by pipeline rank, GB at the peak",
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
IF_IT_DID = "Time and cost below are what it would take if it did."
_REPEATED = ("cluster.", "node.gpu.", "achievable.", "in_situ.")


def short(value: float) -> str:
    """Return a number with a metric suffix, four digits.

    >>> short(1234567.0), short(9.5e12), short(12.34)
    ('1.235M', '9.5T', '12.34')
    """
    for limit, suffix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "K")):
        if abs(value) >= limit:
            scaled = value / (1e3 if suffix == "K" else limit)
            return f"{scaled:.4g}{suffix}"
    return f"{value:.4g}"


def quantity(value: float, unit: str) -> str:
    """Return a number with its unit, prefix included.

    >>> quantity(3.35e12, "B/s"), quantity(2.04e-3, "s"), quantity(33800.0, "USD")
    ('3.35 TB/s', '2.04 ms', '33,800 USD')
    """
    if unit == "1":
        return f"{value:.4g}"
    if unit in ("B", "B/s", "FLOP/s", "W"):
        for limit, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
            if value >= limit:
                return f"{value / limit:.4g} {prefix}{unit}"
    if unit == "s" and 0 < value < 1:
        return f"{value * 1e3:.4g} ms" if value >= 1e-3 else f"{value * 1e6:.4g} us"
    return f"{value:,.0f} {unit}" if abs(value) >= 1e4 else f"{value:.4g} {unit}"


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
    dollars = f"{report.usd_per_gpu_hour:.3f}".rstrip("0").rstrip(".")
    return f"{title[0].upper()}{title[1:]}: ${dollars} per GPU-hour"


def does_not_fit(memory: Memory) -> str:
    """Return by how much a plan exceeds the memory, and what would fit."""
    over = (memory.peak_bytes - memory.hbm_bytes) / 1e9
    return (
        f"It does not fit: rank {memory.rank} needs {memory.peak_bytes / 1e9:.1f} GB, "
        f"{over:.1f} GB more than {memory.hbm_bytes / 1e9:.1f} GB. {memory.advice}."
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
    left = (memory.hbm_bytes - memory.peak_bytes) / 1e9
    return (
        f"It fits, but leaves {left:.1f} GB free; memory_headroom keeps "
        f"{memory.headroom_bytes / 1e9:.1f} GB for fragments and libraries. "
        f"{memory.advice}."
    )
