"""Published runs to scenarios, by rules that hold for whole groups of sources.

What a record prints is taken over. What it leaves open follows from the framework and
the year it comes from (``record_rules.py``), never from the run, and is stated among
the assumptions of its prediction.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal

from estimator import catalog
from estimator import record_rules as rules
from estimator.errors import InputError
from estimator.record_plans import plan_of
from estimator.records import Record, transformer
from estimator.specs.hardware import Cluster, Fabric, Node
from estimator.specs.scenario import Scenario
from estimator.specs.training import GlobalBatch, Phase, Precision

Modules = tuple[Any, ...]
"""Recomputed modules, as a scenario names them."""

_PER_NODE = re.compile(r"(\d+)\s*[x\u00d7]\s*(HDR)?(\d+)\s*(Gb/s|GB/s)?")
_PER_GPU = re.compile(r"(\d+)\s*Gb/s", re.IGNORECASE)
_NIC_RATES = (100, 200, 400, 800, 1600)
_MODULE_LIST = re.compile(r"modules=\[([^\]]*)\]")


@dataclass(frozen=True)
class Mapped:
    """A record as a scenario, and what was assumed on the way."""

    scenario: Scenario
    recompute: tuple[Modules, ...]
    """What may have been recomputed; the first that fits in memory is taken."""
    assumptions: tuple[str, ...]


def family(record: Record) -> str:
    """Return the source family: the identifier up to its first separator.

    >>> family({"id": "nemo24.07-gpt3-5b"}), family({"id": "sc21_table2"})
    ('nemo24.07', 'sc21')
    """
    return re.split(r"[-_]", str(record["id"]), maxsplit=1)[0]


def scenario(record: Record) -> Scenario:
    """Return the scenario that a record describes: :func:`mapped` without its notes."""
    return mapped(record).scenario


def mapped(record: Record) -> Mapped:
    """Return the scenario that a record describes, with the assumptions made.

    Raises
    ------
    InputError
        If the record leaves open what cannot be told: GPUs, batch, plan, hardware.
    """
    batch, source = record["batch"], family(record)
    notes: list[str] = []
    num_gpus = _num_gpus(record)
    if "global" not in batch:
        raise InputError("the source prints no batch (batch.global)")
    if "parallel" not in record:
        if num_gpus > record["cluster"].get("gpus_per_node", 8):
            raise InputError("the source does not print the parallel plan")
        notes.append("no plan is printed: pure data parallelism inside one node")
    cluster = _cluster(record, num_gpus)
    model = transformer(record)
    recompute = _recompute(record, notes)
    made = Scenario(
        name=str(record["id"]),
        model=model,
        cluster=cluster,
        plan=plan_of(record, model, num_gpus, source, notes),
        precision=_precision(record, source, notes),
        recompute=recompute[0],
        phases=(
            Phase(
                name="run",
                num_tokens=float(batch["global"] * batch["seq_len"]),
                seq_len=batch["seq_len"],
                global_batch_size=GlobalBatch(
                    initial=batch["global"], final=batch["global"]
                ),
            ),
        ),
        price=_loaded("price", "h100-lambda-2024-09"),
        power=_loaded("power", "world-average"),
    )
    return Mapped(made, recompute, tuple(notes))


@cache
def _loaded(kind: str, name: str) -> Any:
    return catalog.load(kind, name)


def _num_gpus(record: Record) -> int:
    given = record["cluster"]
    if "gpus" in given:
        return int(given["gpus"])
    if "nodes" in given and "gpus_per_node" in given:
        return int(given["nodes"] * given["gpus_per_node"])
    raise InputError("the source prints no number of GPUs (cluster.gpus)")


def _cluster(record: Record, num_gpus: int) -> Cluster:
    given = record["cluster"]
    node = _node(given["gpu"])
    each = given.get("gpus_per_node", node.gpus_per_node)
    if each != node.gpus_per_node:
        node = replace(node, gpus_per_node=each)
    return Cluster(node=node, fabric=fabric(given), num_gpus=num_gpus)


def _kind(gpu: str) -> str:
    """Return the key of :data:`record_rules.NODES` that a GPU's text begins with."""
    letters = re.sub(r"[^a-z0-9]", "", gpu.lower()).removeprefix("nvidia")
    keys = [key for key in rules.NODES if letters.startswith(key)]
    if not keys:
        raise InputError(f"there is no node with {gpu[:60]!r}")
    return max(keys, key=len)


@cache
def _node(gpu: str) -> Node:
    name, other = rules.NODES[_kind(gpu)]
    is_missing = name not in catalog.names("node")
    if is_missing or (other and other not in catalog.names("gpu")):
        raise InputError(f"there is no node with {gpu[:60]!r}")
    node: Node = catalog.load("node", name)
    return replace(node, gpu=catalog.load("gpu", other)) if other else node


def fabric(given: Mapping[str, Any]) -> Fabric:
    """Return the fabric at the rate that a record's text gives each GPU."""
    text = str(given.get("interconnect", ""))
    printed = _gbit_per_s(text, given)
    gbit = printed or _usual_gbit_per_s(given["gpu"])
    known = catalog.names("fabric")
    words, name = next(
        (words, name)
        for words, rate, name in rules.FABRICS
        if re.search(words, text.lower()) and rate in (0, gbit) and name in known
    )
    base: Fabric = _loaded("fabric", name)
    is_own_rate = words and not printed  # named, but at no rate: that of its file
    return base if is_own_rate else replace(base, bytes_per_s=gbit / 8 * 1e9)


def _usual_gbit_per_s(gpu: str) -> float:
    """Return the rate per GPU of the fabric that a node usually has."""
    kind = _kind(gpu)
    return next(
        (rate for key, rate in rules.GBIT_PER_S.items() if kind.startswith(key)),
        rules.DEFAULT_GBIT_PER_S,
    )


def _gbit_per_s(text: str, given: Mapping[str, Any]) -> float:
    """Return the rate per GPU, one way, that a text prints; 0 where it does not.

    Read in this order: EFA's 3,200 Gbit/s a node, Omni-Path's four links a node, NICs
    a node times their rate, the generation of the NIC, a rate per GPU.
    """
    each, lower = int(given.get("gpus_per_node", 8)), text.lower()
    if re.search(r"3,?200", text):
        return 3200.0 / each
    if "omni-path" in lower:
        return 400.0 / each
    for number, is_hdr, rate, unit in _PER_NODE.findall(text):
        if is_hdr or unit:
            return float(number) * float(rate) * (8 if unit == "GB/s" else 1) / each
    if "xdr" in lower or "connectx-8" in lower:
        return 800
    rates = [int(rate) for rate in _PER_GPU.findall(text) if int(rate) in _NIC_RATES]
    if rates:
        return max(rates)
    return 400.0 if "ndr" in lower else 0.0


def _precision(record: Record, source: str, notes: list[str]) -> Precision:
    text = str(record.get("precision") or "").lower()
    recipe, note = next(
        (
            (recipe, note)
            for words, recipe, note in rules.PRECISIONS
            if re.search(words, text)
        ),
        ("bf16", ""),
    )
    if not text:
        recipe = "fp8-tensor" if source in rules.FP8_UNSAID else "bf16"
        note = f"no precision is printed: {'FP8' if recipe != 'bf16' else 'BF16'}"
    if recipe == "fp8-tensor" and source in rules.BLOCK_SCALED:
        recipe = "fp8"
    if note:
        notes.append(note)
    return Precision(
        recipe=recipe,  # type: ignore[arg-type]
        gradients=_gradients(text, source),
        moments="bf16" if source in rules.HALF_MOMENTS else "fp32",
    )


def _gradients(text: str, source: str) -> Literal["bf16", "fp32", "bf16+fp32"]:
    """Return the type of gradients: as printed, else as the framework's."""
    if "fp32 gradient accumulation" in text:
        return "bf16+fp32"
    is_half = source in rules.NVIDIA_RECIPES | rules.HALF_GRADIENTS
    return "bf16" if is_half else "fp32"


def _recompute(record: Record, notes: list[str]) -> tuple[Modules, ...]:
    """Return what may be recomputed, the likeliest first."""
    text = str(record.get("recompute") or "").lower()
    if "at head" in text:
        quoted = _MODULE_LIST.search(text)
        named = _modules(quoted[1]) if quoted else ()
        if "granularity=full" in text:
            named = ("full",)
        if "offload" in text:
            notes.append("offloading of activations is not modelled")
        if not named:
            return ((),)
        notes.append(
            "the recipe at HEAD recomputes, the release measured may not: nothing is "
            "recomputed if that fits in memory"
        )
        return ((), named)
    if "remat" in text:
        notes.append("the rematerialisation policy is open: the least that fits")
        return ((), ("layernorm", "moe_act"), ("layernorm", "mlp", "moe"), ("full",))
    if text.startswith("full"):
        return (("full",),)
    if not text or text.startswith(("none", "not stated", "unknown")):
        if not text.startswith("none"):
            notes.append("recomputation is not printed: none")
        return ((),)
    return (_modules(text) or ("core_attn",),)


def _modules(text: str) -> Modules:
    """Return the modules that a text names.

    >>> _modules("mla_up_proj, mlp"), _modules("selective: layernorm, moe")
    (('mla_up_proj', 'mlp'), ('layernorm', 'moe'))
    """
    found = [
        module
        for words, modules in rules.MODULES
        if re.search(words, text)
        for module in modules
    ]
    return tuple(dict.fromkeys(found))
