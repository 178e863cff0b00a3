"""Measured collectives from the reference tables, each with its prediction.

Reads ``hardware.yaml`` (networks), ``kernel_benchmarks.yaml`` and
``kernels/nccl_single_domain.parquet`` (needs pyarrow) from one folder.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from estimator.catalog.loading import load
from estimator.costs.collectives import Choice, Group, best, bus_bytes_per_s, collective
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


NOTHING = Choice("", 0.0)


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
    choice: Choice = NOTHING

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
    cluster = Cluster(
        node=load("node", node), fabric=load("fabric", fabric), num_gpus=1
    )
    return links(cluster, Layer.ACHIEVABLE, is_overlapped=False)


def predicted(row: Row) -> Row:
    """Return the row with its prediction: of the algorithm that the source names."""
    between = ways(row.node, row.fabric)
    members = Group(row.size, min(row.size, between.gpus_per_node))
    choice = best(row.operation, row.num_bytes, members, between)
    if row.forced:
        seconds = collective[row.forced](row.num_bytes, members, between)
        choice = Choice(row.forced, seconds)
    return replace(row, choice=choice)


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
            "one node"
            if is_inside and "rack" not in text
            else "several nodes or racks",
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
        text, size = (
            name.partition("_")[0].upper(),
            int(re.findall(r"(\d+)gpu", name)[0]),
        )
        fabric = "efa-v4-3200" if "efa" in name else "ib-ndr-rail-optimised"
        for payload, measured in curve.items():
            yield Row(
                "one node" if size <= 8 else "several nodes or racks",
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
        operation = {"alltoall": "all_to_all"}.get(
            str(entry.collective), entry.collective
        )
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
    document, records = (
        yaml.load((folder / name).read_text(), yaml.CSafeLoader)
        for name in ("hardware.yaml", "kernel_benchmarks.yaml")
    )
    rows = [*listed_rows(document), *sweep_rows(document), *job_rows(records)]
    table = folder / "kernels" / "nccl_single_domain.parquet"
    if table.exists():
        rows += table_rows(table)
    return [predicted(row) for row in rows]
