"""What a source's software does in a record: the fields of a plan that tell it."""

from __future__ import annotations

import re
from typing import Any, Literal

from estimator.catalog.records.ablations import techniques
from estimator.catalog.records.models import Record, model_and_gpu, release
from estimator.catalog.records.rules import frameworks
from estimator.catalog.records.words import says
from estimator.specs.software import (
    AttentionKernel,
    GradientPass,
    LossKernel,
    ShardBuffer,
)


def software(
    record: Record,
    source: str,
    *,
    tp: int,
    zero: int,
    num_replicas: int,
    num_gpus: int,
    notes: list[str],
) -> dict[str, Any]:
    """Return the fields of a plan that software decides, by name.

    Parameters
    ----------
    num_replicas : int
        Ranks among which gradients are reduced, context-parallel ones among them.
    notes : list of str
        What is assumed is appended to it.
    """
    is_eager = source in frameworks.EAGER and not _is_compiled(record)
    has = techniques(record, source)
    is_listed = zero == 3 and frameworks.SHARD_BUFFER.get(source) == "pieces"
    is_local = source in frameworks.LOCAL_LAYERS
    is_whole = source in frameworks.REDUCED_WHOLE
    gathers_context = source in frameworks.GATHERED_CONTEXT
    return {
        "kernels.early_stop": source in frameworks.EARLY_STOP,
        "communication.batch_first": source in frameworks.BATCH_FIRST
        and not _says_async(record),
        "communication.context_exchange": "all-gather" if gathers_context else "ring",
        "communication.context_sums": "fp32"
        if source in frameworks.RING_IN_FP32
        else "bf16",
        "kernels.attention": _attention(record, source, has),
        "defaults.dropout": source in frameworks.DROPOUT,
        "kernels.library": "local" if is_local else "transformer_engine",
        "kernels.fused_activations": source not in frameworks.UNFUSED and not is_eager,
        "kernels.loss": _loss_kernel(record, source, tp, is_eager=is_eager),
        "kernels.fused_norms": not is_eager,
        "kernels.fused_projections": source not in frameworks.SPLIT_PROJECTIONS,
        "kernels.attention_copies": frameworks.ATTENTION_COPIES.get(source, 0),
        "kernels.repeats_kv": source in frameworks.REPEATED_KV,
        "gradients.fused": source not in frameworks.SEPARATE_GRADIENTS,
        "experts.dispatch": _dispatch(record, source),
        "experts.fused": has_fused_experts(record, source),
        "experts.fused_router": source in frameworks.FUSED_ROUTER,
        "kernels.launch": "blocking" if is_listed else _launch(record, source),
        "storage.shard_buffer": _shard_buffer(record, source),
        "communication.checks_collectives": _checks_collectives(
            record, num_gpus, notes
        ),
        "gradients.bucket_size": _bucket_size(record, source, num_replicas),
        "gradients.reduction": "all-reduce" if is_whole else "reduce-scatter",
        "gradients.passes": _gradient_passes(record, source, zero),
    } | _overlap(record, source, has, zero, is_eager=is_eager)


def _overlap(
    record: Record,
    source: str,
    has: frozenset[str] | None,
    zero: int,
    *,
    is_eager: bool,
) -> dict[str, Any]:
    """Return what a source's framework hides, or a row that lacks some of it."""
    has_overlap = "dp overlap" in (has or ())
    return {
        "communication.tensor": _tensor_overlap(record, source, has),
        "communication.pipeline": source not in frameworks.BLOCKING_SENDS
        and (has is None or "pp overlap" in has),
        "communication.context": source not in frameworks.RING_IN_FP32 or is_eager,
        "gradients.overlaps_reduction": has_overlap
        or source in frameworks.OVERLAPPED_REDUCTION
        or (source in frameworks.DDP and not zero),
        "gradients.overlaps_gather": has_overlap or source in frameworks.OVERLAPPING,
    }


def _is_compiled(record: Record) -> bool:
    """Return whether a record's notes say ``torch.compile``, and not that it is off."""
    return says(record.get("notes"), "compile")


def _bucket_size(record: Record, source: str, num_replicas: int) -> int:
    if _is_xla(record):
        return 0
    if source in frameworks.MEGATRON_BUCKETS:
        return max(
            frameworks.LEAST_BUCKET, frameworks.BUCKET_PER_REPLICA * num_replicas
        )
    if source in frameworks.DDP:
        return frameworks.DDP_BUCKET
    return frameworks.RECIPE_BUCKET if source in frameworks.NVIDIA_RECIPES else 0


def _checks_collectives(record: Record, num_gpus: int, notes: list[str]) -> bool:
    """Return whether collectives that a record prints beside its step waited for hosts.

    Checks take a time in proportion to ranks, so that a gather lasts as long as a
    reduction of twice its bytes; inside a node ten reductions last a check longer.
    """
    known = record["measured"]
    inside, gathered = (known.get(key) for key in ("ar_intranode_gbs", "allgather_gbs"))
    if (
        not inside
        or not gathered
        or not re.fullmatch(frameworks.CHECKED_GPU, _gpu(record))
    ):
        return False
    moved = (num_gpus - 1) / num_gpus * frameworks.GATHERED_BYTES
    each_s = moved / (gathered * 1e9) / num_gpus
    if inside >= frameworks.CHECKED_REDUCTION or each_s <= frameworks.LEAST_CHECK_S:
        return False
    notes.append("hosts check each collective: the job's own test of its links says so")
    return True


def _gpu(record: Record) -> str:
    return str(record["cluster"]["gpu"]).lower()


def _loss_kernel(record: Record, source: str, tp: int, *, is_eager: bool) -> LossKernel:
    if is_eager or re.search(frameworks.PLAIN_LOSS, str(record.get("source", ""))):
        return "eager" if tp > 1 else "log-softmax"
    return "fused" if _is_xla(record) else frameworks.LOSS.get(source, "fused")


def _launch(record: Record, source: str) -> Literal["queued", "graph", "blocking"]:
    """Return how a source's kernels reach the GPU."""
    if source in frameworks.BLOCKING_LAUNCHES:
        return "blocking"
    if has_fused_experts(record, source):
        return "graph"
    is_graph = _is_xla(record) or record["cluster"].get("cuda_graph")
    return "graph" if is_graph else "queued"


def _is_xla(record: Record) -> bool:
    """Return whether a record's name says that XLA compiled the program."""
    return any(word in str(record["id"]).lower() for word in frameworks.COMPILED)


def _shard_buffer(record: Record, source: str) -> ShardBuffer:
    """Return how sharded weights travel."""
    is_xla = _is_xla(record) or "tpu" in _gpu(record)
    return "in-place" if is_xla else frameworks.SHARD_BUFFER.get(source, "per-weight")


def _gradient_passes(
    record: Record, source: str, zero: int
) -> tuple[GradientPass, ...]:
    """Return the passes of a framework, and one more where the loss is scaled."""
    passes = frameworks.GRADIENT_PASSES.get(source, ())
    if source in frameworks.DDP and not zero:
        passes = (*passes, "bucket")
    precision = str(record.get("precision") or "").lower()
    is_scaled = re.search(frameworks.SCALED_LOSS, precision) and "bf16" not in precision
    return (*passes, "unscale") if is_scaled else passes


def _attention(
    record: Record, source: str, has: frozenset[str] | None
) -> AttentionKernel:
    """Return the attention of a source, or of a row that came before its last one."""
    if has is not None and "efficient ops" not in has:
        return "flash-1"
    for words, kernel in frameworks.OLDER_ATTENTION:
        if re.search(words, str(record["id"])):
            return kernel
    return frameworks.ATTENTION.get(source, "fused")


def _says_async(record: Record) -> bool:
    """Return whether a record's notes say asynchronous tensor parallelism."""
    return says(record.get("notes"), "async ?tp")


def _tensor_overlap(
    record: Record, source: str, has: frozenset[str] | None
) -> Literal["none", "async", "pipelined"]:
    """Return how a source's framework hides tensor-parallel collectives."""
    if source in frameworks.BLOCKING_TENSOR and not _says_async(record):
        return "none"
    is_pipelined = source in frameworks.PIPELINED_TENSOR or "tp overlap" in (has or ())
    return "pipelined" if is_pipelined else "async"


def _dispatch(record: Record, source: str) -> Literal["deduplicated", "all-to-all"]:
    """Return how tokens reach their experts: as printed, else as the source does."""
    text = record.get("notes")
    if says(text, r"dispatcher (a2a|all-?to-?all)"):
        return "all-to-all"
    is_flexible = says(text, r"deepep|hybridep")
    words = frameworks.FLEXIBLE_IN.get(source, {}).get(release(record), "")
    known = source in frameworks.DEDUPLICATED and re.search(
        words, model_and_gpu(record)
    )
    return "deduplicated" if known or is_flexible else "all-to-all"


def has_fused_experts(record: Record, source: str) -> bool:
    """Return whether a recipe fuses what surrounds the products of experts."""
    since, domain = frameworks.FUSED_EXPERTS.get(source, ("", ""))
    return bool(
        since
        and release(record) >= since
        and record["model"]["type"] == "moe"
        and "mxfp8" in str(record.get("precision", "")).lower().replace("-", "")
        and domain in str(record["cluster"].get("interconnect", "")).lower()
    )
