"""The cluster of a record: its accelerator, node and fabric, from what is printed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from estimator.catalog import kinds, loading
from estimator.catalog.records.models import Record
from estimator.catalog.records.rules import hardware
from estimator.ground.errors import InputError
from estimator.specs.hardware import Cluster, Fabric, Node

_NIC_RATES = (25, 40, 50, 100, 200, 400, 800, 1600)
_UNIT = r"(Gb/s|Gbps|Gbit/s|GbE|GB/s)"
_NICS = re.compile(
    rf"(\d+)\s*[x\u00d7]\s*(?:Slingshot[- ]?\d*\s+)?([HNEX]DR)?(\d+)\s*{_UNIT}?"
)
_ONE = re.compile(r"(\d+)\s*(?:Gb/s|Gbps|Gbit/s)( per node)?", re.IGNORECASE)
_PODS = re.compile(r"\d+ pods (?:x|of) (\d+)")
"""How many pods of how many chips a record has: each is a scale-up domain."""
_GENERATIONS: tuple[tuple[str, float], ...] = (
    ("ndr200", 200.0),
    ("ndr", 400.0),
    ("hdr", 200.0),
    ("edr", 100.0),
    ("slingshot", 200.0),
)
"""Words that tell the rate of a NIC, one for each GPU, where no number does."""


def has_gpus(record: Record) -> bool:
    """Return whether :func:`num_gpus` can tell how many GPUs a record has."""
    return bool({"gpus", "nodes"} & set(record["cluster"])) or "dp" in record.get(
        "parallel", {}
    )


def num_gpus(record: Record) -> int:
    """Return the GPUs of a record: printed, by nodes, or by its plan.

    Raises
    ------
    InputError
        If none of these is printed.
    """
    given, plan = record["cluster"], record.get("parallel", {})
    if "gpus" in given:
        return int(given["gpus"])
    if "nodes" in given:
        return int(given["nodes"] * given.get("gpus_per_node", _each(given["gpu"])))
    if "dp" in plan:
        return int(
            plan["dp"] * plan.get("tp", 1) * plan.get("pp", 1) * plan.get("cp", 1)
        )
    raise InputError("the source prints no number of GPUs (cluster.gpus)")


def _each(gpu: str) -> int:
    return _node(gpu).gpus_per_node


def cluster(record: Record) -> Cluster:
    """Return the cluster that a record describes.

    Raises
    ------
    InputError
        If there is no node with its accelerator, or its size is not told.
    """
    given = record["cluster"]
    node = _node(given["gpu"])
    each = given.get("gpus_per_node", node.gpus_per_node)
    pods = _PODS.search(str(given.get("interconnect", "")))
    printed = int(pods[1]) if pods else node.scaleup_domain
    domain = given.get("nvlink_domain", printed)
    if each != node.gpus_per_node or domain != node.scaleup_domain:
        wide = domain if domain and domain >= each else None
        node = replace(node, gpus_per_node=each, scaleup_domain=wide)
    return Cluster(node=node, fabric=fabric(given), num_gpus=num_gpus(record))


def kind(gpu: str) -> str:
    """Return the key of :data:`hardware.NODES` that an accelerator's text means.

    >>> kind("A100-SXM4-40GB"), kind("AMD Instinct MI300X"), kind("TPU v5p")
    ('a10040gb', 'mi300x', 'tpuv5p')
    """
    letters = re.sub(r"[^a-z0-9]", "", gpu.lower())
    for maker in hardware.MAKERS:
        letters = letters.removeprefix(maker)
    for other, known in hardware.SAME_AS.items():
        if re.match(other, letters):
            return known
    keys = [key for key in hardware.NODES if letters.startswith(key)]
    if not keys:
        raise InputError(
            f"there is no node with {gpu[:60]!r}",
            fix="an accelerator of 'estimator list gpu'",
        )
    return max(keys, key=len)


@cache
def _node(gpu: str) -> Node:
    name, other = hardware.NODES[kind(gpu)]
    is_missing = name not in kinds.names("node")
    if is_missing or (other and other not in kinds.names("gpu")):
        raise InputError(f"there is no node with {gpu[:60]!r}")
    node: Node = loading.load("node", name)
    return replace(node, gpu=loading.load("gpu", other)) if other else node


def fabric(given: Mapping[str, Any]) -> Fabric:
    """Return the fabric at the rate that a record's text gives each GPU."""
    text = str(given.get("interconnect", ""))
    if kind(given["gpu"]).startswith("tpu"):
        return _loaded(hardware.TPU_FABRIC)
    printed = gbit_per_s(text, int(given.get("gpus_per_node", 8)))
    gbit = printed or _usual_gbit_per_s(given["gpu"])
    known = kinds.names("fabric")
    words, name = next(
        (words, name)
        for words, rate, name in hardware.FABRICS
        if re.search(words, text.lower()) and rate in (0, gbit) and name in known
    )
    base = _loaded(name)
    is_own_rate = words and not printed  # named, but at no rate: that of its file
    return base if is_own_rate else replace(base, bytes_per_s=gbit / 8 * 1e9)


@cache
def _loaded(name: str) -> Fabric:
    made: Fabric = loading.load("fabric", name)
    return made


def _usual_gbit_per_s(gpu: str) -> float:
    """Return the rate per GPU of the fabric that a node usually has."""
    known = kind(gpu)
    return next(
        (rate for key, rate in hardware.GBIT_PER_S.items() if known.startswith(key)),
        hardware.DEFAULT_GBIT_PER_S,
    )


def gbit_per_s(text: str, each: int) -> float:
    """Return the rate per GPU, one way, that a text prints; 0 where it does not.

    Read in this order: EFA's 3,200 Gbit/s a node, Omni-Path's four links a node, NICs
    a node times their rate, XDR, a rate per GPU or per node, the generation of the NIC.

    Parameters
    ----------
    text : str
        ``cluster.interconnect``.
    each : int
        GPUs of a node.

    >>> gbit_per_s("4x Slingshot-11 200 Gb/s", 4), gbit_per_s("8x400GbE", 8)
    (200.0, 400.0)
    >>> gbit_per_s("EFA, 400 Gb/s per node", 8), gbit_per_s("NVLink4; NDR200", 4)
    (50.0, 200.0)
    """
    lower = text.lower()
    if re.search(r"3,?200", text):
        return 3200.0 / each
    if "omni-path" in lower:
        return 400.0 / each
    for number, generation, rate, unit in _NICS.findall(text):
        if generation or unit:
            return float(number) * float(rate) * (8 if unit == "GB/s" else 1) / each
    if "xdr" in lower or "connectx-8" in lower:
        return 800.0
    rates = [
        float(rate) / (each if shared else 1)
        for rate, shared in _ONE.findall(text)
        if int(rate) in _NIC_RATES
    ]
    if rates:
        return max(rates)
    return next((rate for word, rate in _GENERATIONS if word in lower), 0.0)
