"""Batches and plans that a source does not print: what is assumed in their place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from estimator.catalog.records.clusters import has_gpus, num_gpus
from estimator.catalog.records.models import Record
from estimator.catalog.records.words import says
from estimator.specs.degrees import Degrees
from estimator.specs.hardware import Cluster
from estimator.specs.model import Transformer
from estimator.specs.software import Software

USUAL_BATCH_TOKENS = 4_194_304
"""Tokens of a step where no batch is printed: between GPT-3's 3.2M and Llama 2's 4M."""
VIRTUAL = "virtual stages are not printed: the fastest that fits"
IN_NODE = 8
"""Ranks at most of an assumed tensor or expert group."""
DEPTHS = (1, 2, 4, 8, 16, 32)
"""Pipeline ranks of assumed plans."""
_SHARDED = r"fsdp|zero-?3|full.?shard|hsdp"
WHOLE = 3
"""ZeRO's stage that shards everything."""

USUAL_GPUS = 1024
"""GPUs where none are printed and what is measured is per GPU."""
PER_GPU = (
    "gpu_hours_per_T_tokens",
    "tokens_per_s_per_gpu",
    "samples_per_s_per_gpu",
    "tflops_per_gpu",
    "mfu",
)

Plan = Mapping[str, Any]


class PossiblePlans(NamedTuple):
    """Plans that a record may have had, the likeliest first."""

    given: Sequence[Plan]
    note: str = ""


def filled(record: Record) -> tuple[Record, list[str]]:
    """Return a record that has GPUs and a batch, and what was assumed to that end.

    Raises
    ------
    InputError
        If GPUs are not printed, and what is measured depends on their number.
    """
    notes = []
    if not has_gpus(record) and any(key in record["measured"] for key in PER_GPU):
        record = {**record, "cluster": {**record["cluster"], "gpus": USUAL_GPUS}}
        notes.append(f"the GPUs are not printed: {USUAL_GPUS:,}, measured is per GPU")
    if "global" not in record["batch"]:
        size, note = _batch(record)
        record = {**record, "batch": {**record["batch"], "global": size}}
        notes.append(note)
    return record, notes


def _batch(record: Record) -> tuple[int, str]:
    """Return the sequences of a step, and where they are from."""
    batch, plan = record["batch"], record.get("parallel", {})
    micro = int(batch.get("micro", batch.get("local_batch", 1)))
    spread = int(plan.get("tp", 1)) * int(plan.get("pp", 1)) * int(plan.get("cp", 1))
    each = micro * max(1, num_gpus(record) // spread)
    if "grad_accum" in batch:
        size = each * int(batch["grad_accum"])
        return size, f"the batch is that of its accumulation: {size:,} sequences"
    size = each * max(1, round(USUAL_BATCH_TOKENS / batch["seq_len"] / each))
    return size, f"the batch is not printed: {size:,} sequences"


def plans(
    record: Record, model: Transformer, where: Cluster, software: Software
) -> PossiblePlans:
    """Return the plans that a record may have had.

    Most print one. Without it data are parallel on one node. On more, a framework that
    shards everything, or a record that names FSDP, does; else all tensor and pipeline
    parallelism is tried.
    """
    if "parallel" in record:
        given = tuple(_interleaved(record, record["parallel"], model))
        is_open = len(given) > 1
        return PossiblePlans(given, VIRTUAL if is_open else "")
    if where.num_gpus <= where.node.gpus_per_node:
        return PossiblePlans(({},), "no plan is printed: data parallelism on one node")
    said = " ".join(str(record.get(key, "")) for key in ("schedule", "recompute"))
    if software.defaults.zero == WHOLE or says(said, _SHARDED):
        return PossiblePlans(
            ({"zero": 3},), "no plan is printed: everything is sharded"
        )
    grown = tuple(
        each
        for plan in _grown(model, where.num_gpus, record["batch"]["global"])
        for each in _interleaved(record, plan, model)
    )
    return PossiblePlans(
        grown or ({"zero": 3},),
        "no plan is printed: tensor and pipeline parallelism as the model needs",
    )


def _interleaved(record: Record, plan: Plan, model: Transformer) -> Iterator[Plan]:
    """Yield a plan with all virtual stages that its layers allow, if they are open."""
    pp = int(plan.get("pp", 1))
    each = -(-model.num_layers // pp)
    counts = [count for count in range(2, each + 1) if each % count == 0]
    is_open = (
        pp > 1 and "vp" not in plan and says(record.get("schedule"), "interleaved")
    )
    if not is_open or not counts:
        yield plan
        return
    for count in counts:
        yield {**plan, "vp": count}


def _grown(model: Transformer, num_ranks: int, global_batch: int) -> Iterator[Plan]:
    heads = model.attention.num_heads
    widths = [width for width in (1, 2, 4, IN_NODE) if heads % width == 0]
    pairs = [(tp, pp) for tp in widths for pp in DEPTHS if pp <= model.num_layers]
    for tp, pp in sorted(pairs, key=lambda pair: (pair[0] * pair[1], pair[1])):
        spread = Degrees(tp=tp, pp=pp)
        if not spread.divide(num_ranks) or global_batch % spread.dp(num_ranks):
            continue
        plan: dict[str, Any] = {"tp": tp, "pp": pp, "zero": 1}
        if model.moe:
            plan["ep"] = _expert_group(model.moe.num_experts, num_ranks // pp)
            plan["etp"] = 1
        yield plan


def _expert_group(num_experts: int, num_ranks: int) -> int:
    return next(
        size
        for size in (IN_NODE, 4, 2, 1)
        if num_experts % size == 0 and num_ranks % size == 0
    )
