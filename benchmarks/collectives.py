"""Predicted against measured collectives, and DeepEP's exchanges.

    python benchmarks/collectives.py ../shared/reference [--all]

Reads ``hardware.yaml`` (networks), ``kernel_benchmarks.yaml`` and
``kernels/nccl_single_domain.parquet`` (needs pyarrow) from the folder. Pass thresholds,
figures read off charts, rows reported as low and rows that do not state their payload
are shown and not scored.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import median

from measured import GB, Row, all_rows, ways

from estimator.costs.all_to_all import ExpertRanks, Sent, all_to_all, spread


def exchange_rows() -> Iterator[tuple[str, int, float, float]]:
    """Yield DeepEP's published GB/s on H800s: way, ranks, measured, predicted.

    4,096 tokens, 7,168 wide, top-8 of 256 experts in at most four groups of nodes, FP8
    out and BF16 back: docs/legacy.md (commit dd758ca). Its figures count the own node's
    or rank's share of the bytes.
    """
    published = {8: (153, 158), 16: (43, 43), 32: (58, 57), 64: (51, 50)}
    between = ways("hgx-h800", "ib-ndr-rail-optimised")
    for size, measured in published.items():
        num_nodes = size // 8
        places = spread(256, 8, num_nodes, size, num_nodes, min(num_nodes, 4))
        bytes_out, bytes_back = 1 + 4 / 128, 2.0
        sent = Sent(
            num_tokens=4096,
            hidden_size=7168,
            experts_per_token=8,
            dispatch_bytes=bytes_out,
            combine_bytes=bytes_back,
        )
        made = all_to_all(between, sent, ExpertRanks(size, num_nodes, places))
        visited = places.nodes if num_nodes > 1 else places.ranks
        for way, width, seconds, rate in (
            ("dispatch", bytes_out, made.dispatch_s, measured[0]),
            ("combine", bytes_back, made.combine_s, measured[1]),
        ):
            yield way, size, rate, 4096 * visited * 7168 * width / seconds / GB


def summary(rows: Iterable[Row]) -> dict[str, tuple[int, float, Row]]:
    """Return for each family its scored rows' number, median error and worst row."""
    families = defaultdict(list)
    for row in rows:
        if row.is_scored:
            families[row.family].append(row)
            families["all"].append(row)
    return {
        name: (
            len(own),
            median(abs(row.error) for row in own),
            max(own, key=lambda row: abs(row.error)),
        )
        for name, own in sorted(families.items())
    }


def line(row: Row) -> str:
    """Return a row as text."""
    mark = "" if row.is_scored else "  (not scored)"
    return (
        f"{row.operation:14} {row.node:13} {row.size:5} GPUs "
        f"{row.num_bytes / 2**20:10.3f} MiB  measured {row.measured / GB:7.2f}  "
        f"predicted {row.predicted / GB:7.2f} GB/s {row.error:+7.1%}  "
        f"{row.choice.algorithm:24} {row.note}{mark}"
    )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of the measured tables")
    parser.add_argument(
        "--all", action="store_true", help="print the parquet's rows too"
    )
    chosen = parser.parse_args()
    rows = all_rows(chosen.folder)
    for row in rows:
        if chosen.all or not row.family.startswith("table"):
            print(line(row))
    print("\nDeepEP on H800s, GB/s")
    for way, size, measured, made in exchange_rows():
        note = "  (out of line with the others)" if size == 16 else ""
        print(
            f"{way:9} EP{size:<3} measured {measured:4}  predicted {made:6.1f} "
            f"{made / measured - 1:+7.1%}{note}"
        )
    print("\nScored rows: median and worst absolute error of the bus bandwidth")
    for name, (count, middle, worst) in summary(rows).items():
        print(f"{name:24} {count:5} rows  median {middle:6.1%}  worst: {line(worst)}")


if __name__ == "__main__":
    main()
