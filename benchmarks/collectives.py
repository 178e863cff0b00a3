"""Predicted against measured collectives, and DeepEP's exchanges.

    python benchmarks/collectives.py ../shared/reference [--all]

Reads ``hardware.yaml`` (networks), ``kernel_benchmarks.yaml`` and
``kernels/nccl_single_domain.parquet`` (needs pyarrow) from the folder. Pass thresholds,
figures read off charts, rows reported as low and rows that do not state their payload
are shown and not scored.
"""

from __future__ import annotations

import argparse
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd
import yaml

from estimator.catalog import load
from estimator.costs.all_to_all import all_to_all, spread
from estimator.costs.collectives import (
    Choice,
    Group,
    best,
    bus_bytes_per_s,
    collective,
)
from estimator.costs.rates import Layer, Links, links
from estimator.specs.hardware import Cluster

LARGE = 16 * 2**30
GB = 1e9
PARQUET_NODES = {
    "a100_sxm": "hgx-a100",
    "h100_sxm": "hgx-h100",
    "h200_sxm": "hgx-h200",
    "b200_sxm": "hgx-b200",
    "b300_sxm": "hgx-b300",
    "gb200": "gb200-nvl72",
    "gb300": "gb300-nvl72",
    "l40s": "l40s-pcie-x8",
}
WORDS = (
    ("GB200", "gb200-nvl72"),
    ("MI300X", "mi300x-x8"),
    ("H800", "hgx-h800"),
    ("H200", "hgx-h200"),
    ("B200", "hgx-b200"),
    ("A100", "hgx-a100"),
    ("H100", "hgx-h100"),
    ("2x200G", "hgx-a100"),
    ("2x400G", "hgx-h100"),
)
FABRICS = (
    ("2x200G", "ib-hdr-2-nics"),
    ("2x400G", "ib-ndr-2-nics"),
    ("EFA", "efa-v2-3200"),
    ("A100", "ib-hdr-rail-optimised"),
)
UNITS = {"": 1, "K": 1e3, "M": 1e6, "G": 1e9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
NOT_SCORED = ("threshold", "chart", "reported as low", "payload not stated")


@dataclass(frozen=True)
class Row:
    """One measured collective, and what is predicted for it."""

    family: str
    operation: str
    node: str
    fabric: str
    size: int
    num_bytes: float
    measured: float
    """Bus bandwidth in B/s."""
    note: str = ""
    forced: str = ""
    """The algorithm that the source forced or named, if any."""
    choice: Choice = field(default=Choice("", 0.0))

    @property
    def predicted(self) -> float:
        """Bus bandwidth in B/s."""
        seconds = self.choice.seconds
        return bus_bytes_per_s(self.operation, self.num_bytes, self.size, seconds)

    @property
    def error(self) -> float:
        """Predicted over measured, less one."""
        return self.predicted / self.measured - 1

    @property
    def is_scored(self) -> bool:
        """Whether it counts."""
        return not any(word in self.note for word in NOT_SCORED)


@cache
def ways(node: str, fabric: str) -> Links:
    """Return the achievable links of a node on a fabric."""
    cluster = Cluster(node=load("node", node), fabric=load("fabric", fabric), num_gpus=1)
    return links(cluster, Layer.ACHIEVABLE, is_overlapped=False)


def predicted(row: Row) -> Row:
    """Return the row with its prediction: of the algorithm that the source names."""
    between = ways(row.node, row.fabric)
    members = Group(row.size, min(row.size, between.gpus_per_node))
    choice = best(row.operation, row.num_bytes, members, between)
    if row.forced:
        seconds = collective[row.forced](row.num_bytes, members, between)
        choice = Choice(row.forced, seconds)
    return Row(**{**row.__dict__, "choice": choice})


def payload_bytes(text: str) -> float:
    """Return the bytes of ``16GiB``, ``2GB``, ``67M``; ``large`` is 16 GiB."""
    found = re.fullmatch(r"([\d.]+)\s*([KMG]?i?)B?", text)
    return float(found[1]) * UNITS[found[2]] if found else LARGE


def _named(text: str, table: Iterable[tuple[str, str]], default: str) -> str:
    return next((name for word, name in table if word in text), default)


def listed_rows(document: dict[str, Any]) -> Iterator[Row]:
    """Yield ``networks.measured_collectives``."""
    for entry in document["networks"]["measured_collectives"]:
        operation = entry["collective"]
        if operation.startswith("p2p"):
            continue
        text, algorithm = entry["hardware"], str(entry.get("algo", ""))
        is_inside = entry["nodes_count"] == 1 or "NVL72" in text
        fabric = _named(text, FABRICS, "ib-ndr-rail-optimised")
        forced = ""
        if algorithm == "IB SHARP":
            fabric = "ib-ndr-sharp"
        if algorithm in ("Ring", "ring/no SHARP"):
            forced = f"{operation}/ring"
        note = str(entry.get("note", ""))
        if not is_inside and text == "GB200 NVL72" and not forced:
            note = note or algorithm
        yield Row(
            "one node" if is_inside and "rack" not in text else "several nodes or racks",
            operation,
            _named(text, WORDS, "hgx-h100"),
            fabric,
            entry["gpus_count"],
            payload_bytes(str(entry["payload"])),
            entry["busbw_gb_per_s"] * GB,
            note or algorithm,
            forced,
        )


def sweep_rows(document: dict[str, Any]) -> Iterator[Row]:
    """Yield ``networks.busbw_vs_size_gb_per_s``: all-reduces by payload."""
    for name, curve in document["networks"]["busbw_vs_size_gb_per_s"].items():
        found = re.match(r"([a-z]+\d+)_(\d+)gpu", name)
        assert found, name
        size, text = int(found[2]), found[1].upper()
        fabric = "efa-v4-3200" if "efa" in name else "ib-ndr-rail-optimised"
        for payload, measured in curve.items():
            yield Row(
                "one node" if size <= 8 else "several nodes or racks",  # noqa: PLR2004
                "all_reduce",
                _named(text, WORDS, "hgx-h100"),
                fabric,
                size,
                payload_bytes(str(payload)),
                measured * GB,
                "read off a chart" if "chart" in name else "sweep",
            )


def job_rows(records: list[dict[str, Any]]) -> Iterator[Row]:
    """Yield the collectives of ``kernel_benchmarks.yaml``."""
    record = next(r for r in records if r["id"] == "micro-hf-collectives")
    for text, values in record["measured"].items():
        size = int(re.findall(r"\d+", text)[0])
        operations = ("all_reduce", "all_gather", "reduce_scatter")
        for operation, measured in zip(operations, values, strict=True):
            yield Row(
                "several nodes or racks",
                operation,
                "hgx-h100",
                "efa-v2-3200",
                size,
                256 * 2**20,
                measured * GB,
                "payload not stated; 256 MiB assumed",
            )


def table_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of ``nccl_single_domain.parquet``."""
    widths = {"half": 2, "int8": 1}
    for entry in pd.read_parquet(path).itertuples():
        operation = {"alltoall": "all_to_all"}.get(str(entry.collective), entry.collective)
        num_bytes = float(entry.message_size * widths[str(entry.nccl_dtype)])
        seconds = float(entry.latency) * 1e-3
        size = int(entry.num_gpus)
        yield Row(
            f"table, {entry.gpu}",
            str(operation),
            PARQUET_NODES[str(entry.gpu)],
            "ib-ndr-rail-optimised",
            size,
            num_bytes,
            bus_bytes_per_s(str(operation), num_bytes, size, seconds),
        )


def all_rows(folder: Path) -> list[Row]:
    """Return every measured collective of the folder with its prediction."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    document = yaml.load((folder / "hardware.yaml").read_text(), loader)  # noqa: S506
    records = yaml.load(  # noqa: S506
        (folder / "kernel_benchmarks.yaml").read_text(), loader
    )
    rows = [*listed_rows(document), *sweep_rows(document), *job_rows(records)]
    table = folder / "kernels" / "nccl_single_domain.parquet"
    if table.exists():
        rows += table_rows(table)
    return [predicted(row) for row in rows]


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
        made = all_to_all(
            between,
            num_tokens=4096,
            hidden_size=7168,
            experts_per_token=8,
            num_ranks=size,
            num_nodes=num_nodes,
            places=places,
            dispatch_bytes=bytes_out,
            combine_bytes=bytes_back,
        )
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
        f"{row.operation:14} {row.node:13} {row.size:5} GPUs {row.num_bytes / 2**20:10.3f} "
        f"MiB  measured {row.measured / GB:7.2f}  predicted {row.predicted / GB:7.2f} GB/s "
        f"{row.error:+7.1%}  {row.choice.algorithm:24} {row.note}{mark}"
    )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of the measured tables")
    parser.add_argument("--all", action="store_true", help="print the parquet's rows too")
    chosen = parser.parse_args()
    rows = all_rows(chosen.folder)
    for row in rows:
        if chosen.all or not row.family.startswith("table"):
            print(line(row))
    print("\nDeepEP on H800s, GB/s")
    for way, size, measured, made in exchange_rows():
        note = "  (out of line with the others)" if size == 16 else ""  # noqa: PLR2004
        print(
            f"{way:9} EP{size:<3} measured {measured:4}  predicted {made:6.1f} "
            f"{made / measured - 1:+7.1%}{note}"
        )
    print("\nScored rows: median and worst absolute error of the bus bandwidth")
    for name, (count, middle, worst) in summary(rows).items():
        print(f"{name:24} {count:5} rows  median {middle:6.1%}  worst: {line(worst)}")


if __name__ == "__main__":
    main()
