"""The parallel plan of a record: its axes, ZeRO stage and micro-batch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from estimator.catalog.records.models import Record
from estimator.catalog.records.pipelines import layout_of, schedule_of
from estimator.ground.errors import InputError
from estimator.specs.degrees import Degrees
from estimator.specs.model import Transformer
from estimator.specs.software import Software
from estimator.specs.training import ParallelPlan

ONE_SEQUENCE = "the micro-batch is not printed: one sequence"
"""Said of a plan that prints none; see :func:`micro_batches`."""


def plan_of(
    record: Record,
    model: Transformer,
    num_gpus: int,
    software: Software,
    notes: list[str],
) -> ParallelPlan:
    """Return the plan that a record prints, its gaps filled by its software.

    ``dp = gpus / (tp pp cp)``; what is assumed is appended to ``notes``.

    Raises
    ------
    InputError
        If tp, pp and cp do not divide the GPUs.
    """
    given: Mapping[str, Any] = record.get("parallel", {})
    tp, pp, cp = (given.get(key, 1) for key in ("tp", "pp", "cp"))
    printed_axes = Degrees(tp, cp, pp)
    if wrong := printed_axes.indivisible(num_gpus):
        raise InputError(wrong.words)
    dp = printed_axes.dp(num_gpus)
    cp, dp = _without_idle_replicas(cp, dp, record["batch"]["global"], notes)
    zero = zero_stage(given, software.defaults.zero, dp, notes)
    if zero == 2 and pp > 1:
        zero = 1
        notes.append("behind a pipeline gradients are reduced once a step: ZeRO-1")
    schedule, virtual = schedule_of(record, pp)
    is_sequence_parallel = given.get(
        "sequence_parallel", software.defaults.sequence_parallel
    )
    if tp > 1 and "sequence_parallel" not in given:
        words = "on" if is_sequence_parallel else "off"
        notes.append(f"sequence parallelism is not printed: {words}")
    ep, etp = _expert_axes(given, model, num_gpus // pp, software, notes)
    return ParallelPlan(
        tp=tp,
        pp=pp,
        cp=cp,
        ep=ep,
        etp=etp,
        zero=zero,
        dp_shard=_shard(_group(given), zero, dp, cp),
        schedule=schedule,
        stages_per_rank=virtual,
        stage_layout=layout_of(model, software, pp, schedule, virtual),
        micro_batch_size=_micro(record, software, dp, zero, notes, is_flat=pp == 1),
        sequence_parallel=bool(is_sequence_parallel),
    )


def _without_idle_replicas(
    cp: int, dp: int, num_sequences: int, notes: list[str]
) -> tuple[int, int]:
    """Return cp and dp of a plan whose replicas all have a sequence.

    >>> _without_idle_replicas(16, 16, 4, [])
    (64, 4)
    """
    if cp == 1 or dp <= num_sequences or dp % num_sequences:
        return cp, dp
    factor = dp // num_sequences
    notes.append(f"{dp} replicas share {num_sequences} sequences: cp {cp * factor}")
    return cp * factor, num_sequences


def _micro(
    record: Record,
    software: Software,
    dp: int,
    zero: int,
    notes: list[str],
    *,
    is_flat: bool,
) -> int:
    """Return the sequences of a micro-batch: printed, or accumulated."""
    batch = record["batch"]
    if "micro" in batch:
        return int(batch["micro"])
    if "local_batch" in batch:
        is_cut = software.defaults.cuts_local_batch and not is_flat
        return 1 if is_cut else int(batch["local_batch"])
    share, rest = divmod(batch["global"], dp * batch.get("grad_accum", 1))
    if "grad_accum" in batch and share and not rest:
        return int(share)
    if zero == 3 and is_flat and batch["global"] % dp == 0:
        notes.append("the micro-batch is not printed: FSDP without accumulation")
        return int(batch["global"] // dp)
    notes.append(ONE_SEQUENCE)
    return 1


def micro_batches(
    plan: ParallelPlan, num_sequences: int, num_gpus: int
) -> tuple[int, ...]:
    """Return the micro-batches that a plan may have had which prints none.

    Without a pipeline larger ones cost memory only, and whoever tunes a run tries them;
    a pipeline is filled with single sequences.

    >>> micro_batches(ParallelPlan(tp=8), 192, 384)
    (1, 2, 4)
    >>> micro_batches(ParallelPlan(tp=8, pp=2), 192, 384)
    (1,)
    """
    each = num_sequences // plan.degrees.dp(num_gpus)
    if plan.pp > 1 or not each:
        return (1,)
    return tuple(size for size in (1, 2, 4, 8) if each % size == 0)


def zero_stage(given: Mapping[str, Any], usual: int, dp: int, notes: list[str]) -> int:
    """Return the ZeRO stage that ``zero``, ``sharding`` or ``fsdp`` says.

    Parameters
    ----------
    usual : int
        What the framework does where nothing says.

    >>> zero_stage({"zero": "FSDP2 (ZeRO-3)"}, 1, 8, [])
    3
    >>> zero_stage({"sharding": "SHARD_GRAD_OP"}, 1, 8, [])
    2
    """
    text = given.get("zero")
    if str(text).isdigit():
        return min(3, int(str(text)[:9]))
    words = f"{text or ''} {given.get('sharding', '')}".lower().strip()
    if not words and _group(given):
        return 3
    if not words:
        stage = usual if dp > 1 else 0
        if dp > 1:
            notes.append(f"the ZeRO stage is not printed: {stage}")
        return stage
    if re.search(r"not resharded|zero-?2|shard_grad_op", words):
        return 2
    if re.search(r"zero-?1|distributed", words):
        return 1
    is_whole = re.search(r"[fh]sdp|zero-?3|(full|hybrid)_?shard", words)
    return 3 if is_whole or _group(given) else 0


def _group(given: Mapping[str, Any]) -> Any:
    """Return the ranks that share one copy, by Megatron's or torchtitan's name."""
    shard = given.get("fsdp", given.get("dp_shard"))
    return shard if shard is True or shard != 1 else None


def _shard(fsdp: object, zero: int, dp: int, cp: int) -> int:
    """Return the replicas that share one copy; 0 for all (``fsdp`` counts cp ranks)."""
    if zero != 3 or isinstance(fsdp, bool) or not isinstance(fsdp, int):
        return 0
    shard = max(1, fsdp // cp)
    return shard if shard < dp and dp % shard == 0 else 0


def _expert_axes(
    given: Mapping[str, Any],
    model: Transformer,
    num_ranks: int,
    software: Software,
    notes: list[str],
) -> tuple[int, int]:
    """Return ep and etp; an expert group folds over dp, cp and tp."""
    if model.moe is None:
        return 1, 1
    ep, tp = int(given.get("ep", 1)), int(given.get("tp", 1))
    if "etp" in given or tp == 1:
        return ep, int(given.get("etp", 1))
    is_split = software.defaults.splits_experts and num_ranks % (ep * tp) == 0
    etp = tp if is_split else 1
    notes.append(f"expert tensor parallelism is not printed: {etp}")
    return ep, etp
