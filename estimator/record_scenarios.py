"""Published runs to scenarios, by rules that hold for whole groups of sources.

What a record prints is taken over. What it leaves open follows from the framework and
the year it comes from, never from the run: the rules are the tables below.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from estimator import catalog
from estimator.errors import InputError
from estimator.records import Record, transformer
from estimator.specs.hardware import Cluster, Fabric, Node
from estimator.specs.scenario import Scenario
from estimator.specs.training import (
    GlobalBatch,
    Overlap,
    ParallelPlan,
    Phase,
    Precision,
)

NODES: Mapping[str, str] = {
    "H100-80GB": "hgx-h100",
    "H800": "hgx-h800",
    "H200": "hgx-h200",
    "A100-80GB": "hgx-a100",
}
"""Accelerator of a record -> node."""

NVIDIA_RECIPES = {"dgxc", "mbridge", "nemo", "nemo24.07", "moezoo", "mcoremoe"}
"""Sources that run NVIDIA's tuned recipes: user buffers, overlapped reduction and
gathering, gradients reduced in BF16."""
BEFORE_FLASH = {"sc21", "korthikanti", "bigscience", "vtrain", "opt", "gptneox", "glm"}
"""Sources whose attention wrote its scores to memory: FlashAttention came in 2022."""
HALF_GRADIENTS = {"sc21", "korthikanti", "llmfoundry", "vtrain", "opt", "gptneox"}
"""Sources that reduce gradients in 16 bits, beside NVIDIA's."""
MEGATRON = NVIDIA_RECIPES | {"sc21", "korthikanti", "megatron", "megascale", "pfold"}
NO_SEQUENCE_PARALLEL = {"sc21", "vtrain", "bigscience", "zb"}

DEFAULT_GBIT = {"A100-80GB": 200, "A100-40GB": 200, "H100-80GB": 400, "H800": 400}
_PER_NODE = re.compile(r"(\d+)\s*[x\u00d7]\s*(\d+)\s*Gb/s")
_PER_GPU = re.compile(r"(\d+)\s*Gb/s")


def family(record: Record) -> str:
    """Return the source family: the identifier up to its first separator."""
    return re.split(r"[-_]", str(record["id"]), maxsplit=1)[0]


def scenario(record: Record) -> Scenario:
    """Return the scenario that a record describes.

    Raises
    ------
    InputError
        If the record leaves open what cannot be told: GPUs, batch, plan, hardware.
    """
    if "parallel" not in record and record["cluster"].get("gpus", 99) > 8:
        raise InputError("the source does not print the parallel plan")
    batch, source = record["batch"], family(record)
    if "gpus" not in record["cluster"] or "global" not in batch:
        raise InputError("the source prints no number of GPUs, or no batch")
    cluster = _cluster(record)
    model = transformer(record)
    plan = _plan(record, model.num_layers, source)
    return Scenario(
        name=str(record["id"]),
        model=model,
        cluster=cluster,
        plan=plan,
        precision=_precision(record, source),
        recompute=_recompute(record),
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
        price=catalog.load("price", "h100-lambda-2024-09"),
        power=catalog.load("power", "world-average"),
    )


def _cluster(record: Record) -> Cluster:
    given = record["cluster"]
    if given["gpu"] not in NODES:
        raise InputError(f"there is no node with {given['gpu']}")
    node: Node = catalog.load("node", NODES[given["gpu"]])
    return Cluster(node=node, fabric=_fabric(given), num_gpus=given["gpus"])


def _fabric(given: Mapping[str, Any]) -> Fabric:
    """Return the fabric with the rate that the record's text gives each GPU."""
    text, per_node = str(given.get("interconnect", "")), given.get("gpus_per_node", 8)
    base: Fabric = catalog.load("fabric", "ib-ndr-rail-optimised")
    gbit = DEFAULT_GBIT.get(given["gpu"], 400)
    if match := _PER_NODE.search(text):
        gbit = int(match[1]) * int(match[2]) / per_node
    elif "3200" in text or "3,200" in text:
        gbit = 3200 / per_node
    elif match := _PER_GPU.search(text):
        gbit = int(match[1])
    return replace(base, bytes_per_s=gbit / 8 * 1e9)


def _plan(record: Record, num_layers: int, source: str) -> ParallelPlan:
    given: Mapping[str, Any] = record.get("parallel", {})
    tp, pp, cp = (int(given.get(key, 1)) for key in ("tp", "pp", "cp"))
    num_gpus = record["cluster"]["gpus"]
    if num_gpus % (tp * pp * cp):
        raise InputError(f"tp {tp} x pp {pp} x cp {cp} does not divide {num_gpus} GPUs")
    zero = _zero(given, source, num_gpus // (tp * pp * cp))
    schedule, virtual = _schedule(record, num_layers, pp)
    is_nvidia = source in NVIDIA_RECIPES
    dp = num_gpus // (tp * pp * cp)
    shard = given.get("fsdp", 0)
    shard = 0 if shard is True or zero != 3 else max(1, int(shard) // cp)
    return ParallelPlan(
        tp=tp,
        pp=pp,
        cp=cp,
        ep=int(given.get("ep", 1)),
        etp=int(given.get("etp", 1)),
        zero=zero,
        dp_shard=shard if shard and dp % shard == 0 and shard < dp else 0,
        schedule=schedule,
        stages_per_rank=virtual,
        stage_layout=_layout(source, num_layers, pp, virtual or 1),
        micro_batch_size=int(record["batch"].get("micro", 1)),
        sequence_parallel=bool(
            given.get("sequence_parallel", source not in NO_SEQUENCE_PARALLEL)
        ),
        attention_kernel="unfused" if source in BEFORE_FLASH else "fused",
        overlap=Overlap(
            tensor="pipelined" if is_nvidia else "async",
            gradient_reduce=is_nvidia,
            parameter_gather=is_nvidia,
        ),
    )


def _zero(given: Mapping[str, Any], source: str, dp: int) -> int:
    text = given.get("zero")
    if isinstance(text, int):
        return text
    if text is None:
        return 1 if source in MEGATRON and dp > 1 else 0
    words = str(text).lower()
    if "not resharded" in words or "zero-2" in words:
        return 2
    if "zero-1" in words or "distributed" in words:
        return 1
    return 3 if "fsdp" in words or "zero-3" in words else 0


def _schedule(record: Record, num_layers: int, pp: int) -> tuple[str, int | None]:
    text = str(record.get("schedule", "")).lower()
    virtual = record.get("parallel", {}).get("vp")
    if pp == 1:
        return "1f1b", None
    for words, name in (
        ("dualpipe", "dualpipe"),
        ("zb-2p", "zb-h2"),
        ("zb-1p", "zb-h1"),
        ("zero-bubble", "zb-h1"),
    ):
        if words in text:
            return name, None
    if "interleaved" not in text and not (virtual and virtual > 1):
        return "1f1b", None
    if virtual is None:  # not printed: the largest that divides, at most 4
        each = num_layers // pp
        virtual = max((v for v in (1, 2, 3, 4) if each % v == 0), default=1)
    if virtual == 1:
        return "1f1b", None
    overlapped = "a2a overlap" in text or "all-to-all overlap" in text
    return ("interleaved-1f1b-overlap" if overlapped else "interleaved-1f1b"), virtual


def _layout(source: str, num_layers: int, pp: int, virtual: int) -> str:
    """Return lighter first and last stages where layers miss by one or two."""
    stages = pp * virtual
    missing = -num_layers % stages
    if pp == 1 or missing not in (1, 2):
        return "even"
    each = (num_layers + missing) // stages
    counts = [each] * stages
    counts[-1] -= 1
    if missing == 2:
        counts[0] -= 1
    if min(counts) < 1:
        return "even"
    return "E" + "|".join("t" * count for count in counts) + "L"


def _precision(record: Record, source: str) -> Precision:
    text = str(record.get("precision", "")).lower()
    recipe = "bf16"
    if "fp8" in text or "nvfp4" in text:
        recipe = "fp8-tensor"
        if "nvfp4" in text and "fp8" not in text:
            recipe = "nvfp4"
        elif "mx" in text:
            recipe = "mxfp8"
        elif "deepgemm" in text or "block" in text or source == "dsv3":
            recipe = "fp8"
    is_half = source in NVIDIA_RECIPES | HALF_GRADIENTS
    moments = "bf16" if source in ("dsv3", "dsv2") else "fp32"
    return Precision(
        recipe=recipe,  # type: ignore[arg-type]
        gradients="bf16" if is_half else "fp32",
        moments=moments,  # type: ignore[arg-type]
    )


def _recompute(record: Record) -> tuple[Any, ...]:
    text = str(record.get("recompute", "")).lower()
    if text.startswith("full") or "granularity=full" in text:
        return ("full",)
    found = []
    for word, module in (
        ("mla_up_proj", "mla_up_proj"),
        ("mla up-projection", "mla_up_proj"),
        ("rmsnorm", "layernorm"),
        ("layernorm", "layernorm"),
        ("norm", "layernorm"),
        ("moe_act", "moe_act"),
        ("swiglu", "moe_act"),
        ("act", "moe_act"),
        ("mlp", "mlp"),
        (", moe", "mlp"),
        ("core", "core_attn"),
    ):
        is_named = word in text and not text.startswith(("none", "not stated"))
        if is_named and module not in found and "head (067" not in text.split(word)[0]:
            found.append(module)
    if text.startswith("selective") and not found:
        found = ["core_attn"]
    return tuple(found)
