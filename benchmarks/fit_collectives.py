"""Fit ``collectives`` of hardware/node/*.yaml to measured collectives.

    python benchmarks/fit_collectives.py ../shared/reference [NODE...]

Starts from the files' values and walks each constant up and down until the mean
absolute log error over the rows of ``nccl_single_domain.parquet`` stops falling. The
link's efficiency, the switch's reduction and the all-to-all's share are not moved: they
come from other measurements.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from math import log
from pathlib import Path

from measured import Row, table_rows, ways

from estimator.costs.collectives import Group, best, bus_bytes_per_s
from estimator.costs.rates import Links

FAMILIES = {
    "hgx-a100": ["hgx-a100"],
    "hgx-h100": ["hgx-h100", "hgx-h200"],
    "hgx-b200": ["hgx-b200", "hgx-b300"],
    "gb200-nvl72": ["gb200-nvl72", "gb300-nvl72"],
    "l40s-pcie-x8": ["l40s-pcie-x8"],
}
CONSTANTS = (
    "launch_s",
    "step_s",
    "simple_s",
    "chunk_s",
    "chunk_bytes",
    "low_latency_bytes_per_s",
    "copy_bytes_per_s",
    "switch_reduction_s",
)


def error(rows: list[Row], between: Links) -> float:
    """Return the mean absolute log error of the bus bandwidth."""
    total = 0.0
    for row in rows:
        members = Group(row.size, min(row.size, between.gpus_per_node))
        seconds = best(row.operation, row.num_bytes, members, between).seconds
        made = bus_bytes_per_s(row.operation, row.num_bytes, row.size, seconds)
        total += abs(log(made / row.measured))
    return total / len(rows)


def moved(between: Links, name: str, factor: float) -> Links:
    """Return the links with one constant scaled."""
    known = between.overheads
    return replace(
        between, overheads=replace(known, **{name: getattr(known, name) * factor})
    )


def fitted(rows: list[Row], between: Links) -> Iterator[tuple[float, Links]]:
    """Yield the error and the links after each improvement."""
    least = error(rows, between)
    yield least, between
    for factor in (1.3, 1.1, 1.04):
        has_improved = True
        while has_improved:
            has_improved = False
            for name in CONSTANTS:
                for step in (factor, 1 / factor):
                    trial = moved(between, name, step)
                    found = error(rows, trial)
                    if found < least - 1e-4:
                        least, between, has_improved = found, trial, True
            yield least, between


def main() -> None:
    """Print the constants of each family of nodes, fitted on every other row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of the measured tables")
    parser.add_argument("nodes", nargs="*", help="families to fit; all by default")
    chosen = parser.parse_args()
    rows = list(table_rows(chosen.folder / "kernels" / "nccl_single_domain.parquet"))
    for name in chosen.nodes or FAMILIES:
        own = [row for row in rows if row.node in FAMILIES[name]]
        start = ways(name, "ib-ndr-rail-optimised")
        steps = list(fitted(own[::2], start))
        print(f"{name}: {steps[0][0]:.3f} -> {steps[-1][0]:.3f} over {len(own)} rows")
        for constant in CONSTANTS:
            print(f"  {constant:24} {getattr(steps[-1][1].overheads, constant):.4g}")


if __name__ == "__main__":
    main()
