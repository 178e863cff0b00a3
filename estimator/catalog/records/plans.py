"""The parallel plan of a record: axes, ZeRO stage, schedule and layout."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from estimator.catalog.records import rules as rules
from estimator.catalog.records.ablations import techniques
from estimator.catalog.records.models import Record, model_and_gpu, release
from estimator.catalog.records.words import says
from estimator.ground.errors import InputError
from estimator.specs.layout import EVEN
from estimator.specs.model import Transformer
from estimator.specs.training import (
    AttentionKernel,
    GradientPass,
    LossKernel,
    Overlap,
    ParallelPlan,
    ShardBuffer,
)

ONE_SEQUENCE = "the micro-batch is not printed: one sequence"
"""Said of a plan that prints none; see :func:`micro_batches`."""


def plan_of(
    record: Record,
    model: Transformer,
    num_gpus: int,
    source: str,
    notes: list[str],
) -> ParallelPlan:
    """Return the plan that a record prints, its gaps filled by the rules.

    ``dp = gpus / (tp pp cp)``; what is assumed is appended to ``notes``.

    Raises
    ------
    InputError
        If tp, pp and cp do not divide the GPUs.
    """
    given: Mapping[str, Any] = record.get("parallel", {})
    tp, pp, cp = (given.get(key, 1) for key in ("tp", "pp", "cp"))
    if num_gpus % (tp * pp * cp):
        raise InputError(f"tp {tp} x pp {pp} x cp {cp} does not divide {num_gpus} GPUs")
    dp = num_gpus // (tp * pp * cp)
    cp, dp = _without_idle_replicas(cp, dp, record["batch"]["global"], notes)
    zero = zero_stage(given, source, dp, notes)
    if zero == 2 and pp > 1:
        zero = 1
        notes.append("behind a pipeline gradients are reduced once a step: ZeRO-1")
    schedule, virtual = _schedule(record, source, model.num_layers, pp, notes)
    is_eager = source in rules.EAGER and not _is_compiled(record)
    has = techniques(record, source)
    has_overlap = "dp overlap" in (has or ())
    is_listed = zero == 3 and rules.SHARD_BUFFER.get(source) == "pieces"
    is_sequence_parallel = given.get(
        "sequence_parallel", source not in rules.NO_SEQUENCE_PARALLEL
    )
    if tp > 1 and "sequence_parallel" not in given:
        words = "on" if is_sequence_parallel else "off"
        notes.append(f"sequence parallelism is not printed: {words}")
    ep, etp = _expert_axes(given, model, num_gpus // pp, source, notes)
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
        stage_layout=_layout(model, source, pp, _stages(schedule, virtual)),
        micro_batch_size=_micro(record, source, dp, zero, notes, is_flat=pp == 1),
        sequence_parallel=bool(is_sequence_parallel),
        early_stop=source in rules.EARLY_STOP,
        batch_first=source in rules.BATCH_FIRST and not _says_async(record),
        context_exchange="all-gather" if source in rules.GATHERED_CONTEXT else "ring",
        context_sums="fp32" if source in rules.RING_IN_FP32 else "bf16",
        attention_kernel=_attention(record, source, has),
        dropout=source in rules.DROPOUT,
        transformer_impl="local"
        if source in rules.LOCAL_LAYERS
        else "transformer_engine",
        fused_kernels=source not in rules.UNFUSED and not is_eager,
        loss_kernel=_loss_kernel(record, source, tp, is_eager=is_eager),
        fused_norms=not is_eager,
        fused_projections=source not in rules.SPLIT_PROJECTIONS,
        attention_copies=rules.ATTENTION_COPIES.get(source, 0),
        repeats_kv=source in rules.REPEATED_KV,
        fused_gradients=source not in rules.SEPARATE_GRADIENTS,
        expert_dispatch=_dispatch(record, source),
        fused_experts=has_fused_experts(record, source),
        fused_router=source in rules.FUSED_ROUTER,
        launch="blocking" if is_listed else _launch(record, source),
        shard_buffer=_shard_buffer(record, source),
        checks_collectives=_checks_collectives(record, num_gpus, notes),
        bucket_size=_bucket_size(record, source, num_gpus // (tp * pp)),
        zero_reduction="all-reduce"
        if source in rules.REDUCED_WHOLE
        else "reduce-scatter",
        gradient_passes=_gradient_passes(record, source, zero),
        overlap=Overlap(
            tensor=_tensor_overlap(record, source, has),
            pipeline=source not in rules.BLOCKING_SENDS
            and (has is None or "pp overlap" in has),
            context=source not in rules.RING_IN_FP32 or is_eager,
            gradient_reduce=has_overlap
            or source in rules.OVERLAPPED_REDUCTION
            or (source in rules.DDP and not zero),
            parameter_gather=has_overlap or source in rules.OVERLAPPING,
        ),
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


def _is_compiled(record: Record) -> bool:
    """Return whether a record's notes say ``torch.compile``, and not that it is off."""
    return says(record.get("notes"), "compile")


def _bucket_size(record: Record, source: str, num_replicas: int) -> int:
    if _is_xla(record):
        return 0
    if source in rules.MEGATRON_BUCKETS:
        return max(rules.LEAST_BUCKET, rules.BUCKET_PER_REPLICA * num_replicas)
    if source in rules.DDP:
        return rules.DDP_BUCKET
    return rules.RECIPE_BUCKET if source in rules.NVIDIA_RECIPES else 0


def _checks_collectives(record: Record, num_gpus: int, notes: list[str]) -> bool:
    """Return whether collectives that a record prints beside its step waited for hosts.

    Checks take a time in proportion to ranks, so that a gather lasts as long as a
    reduction of twice its bytes; inside a node ten reductions last a check longer.
    """
    known = record["measured"]
    inside, gathered = (known.get(key) for key in ("ar_intranode_gbs", "allgather_gbs"))
    if not inside or not gathered or not re.fullmatch(rules.CHECKED_GPU, _gpu(record)):
        return False
    moved = (num_gpus - 1) / num_gpus * rules.GATHERED_BYTES
    each_s = moved / (gathered * 1e9) / num_gpus
    if inside >= rules.CHECKED_REDUCTION or each_s <= rules.LEAST_CHECK_S:
        return False
    notes.append("hosts check each collective: the job's own test of its links says so")
    return True


def _gpu(record: Record) -> str:
    return str(record["cluster"]["gpu"]).lower()


def _loss_kernel(record: Record, source: str, tp: int, *, is_eager: bool) -> LossKernel:
    if is_eager or re.search(rules.PLAIN_LOSS, str(record.get("source", ""))):
        return "eager" if tp > 1 else "log-softmax"
    return "fused" if _is_xla(record) else rules.LOSS.get(source, "fused")


def _launch(record: Record, source: str) -> Literal["queued", "graph", "blocking"]:
    """Return how a source's kernels reach the GPU."""
    if source in rules.BLOCKING_LAUNCHES:
        return "blocking"
    if has_fused_experts(record, source):
        return "graph"
    is_graph = _is_xla(record) or record["cluster"].get("cuda_graph")
    return "graph" if is_graph else "queued"


def _is_xla(record: Record) -> bool:
    """Return whether a record's name says that XLA compiled the program."""
    return any(word in str(record["id"]).lower() for word in rules.COMPILED)


def _shard_buffer(record: Record, source: str) -> ShardBuffer:
    """Return how sharded weights travel."""
    is_xla = _is_xla(record) or "tpu" in _gpu(record)
    return "in-place" if is_xla else rules.SHARD_BUFFER.get(source, "per-weight")


def _gradient_passes(
    record: Record, source: str, zero: int
) -> tuple[GradientPass, ...]:
    """Return the passes of a framework, and one more where the loss is scaled."""
    passes = rules.GRADIENT_PASSES.get(source, ())
    if source in rules.DDP and not zero:
        passes = (*passes, "bucket")
    precision = str(record.get("precision") or "").lower()
    is_scaled = re.search(rules.SCALED_LOSS, precision) and "bf16" not in precision
    return (*passes, "unscale") if is_scaled else passes


def _attention(
    record: Record, source: str, has: frozenset[str] | None
) -> AttentionKernel:
    """Return the attention of a source, or of a row that came before its last one."""
    if has is not None and "efficient ops" not in has:
        return "flash-1"
    for words, kernel in rules.OLDER_ATTENTION:
        if re.search(words, str(record["id"])):
            return kernel
    return rules.ATTENTION.get(source, "fused")


def _says_async(record: Record) -> bool:
    """Return whether a record's notes say asynchronous tensor parallelism."""
    return says(record.get("notes"), "async ?tp")


def _tensor_overlap(
    record: Record, source: str, has: frozenset[str] | None
) -> Literal["none", "async", "pipelined"]:
    """Return how a source's framework hides tensor-parallel collectives."""
    if source in rules.BLOCKING_TENSOR and not _says_async(record):
        return "none"
    is_pipelined = source in rules.PIPELINED_TENSOR or "tp overlap" in (has or ())
    return "pipelined" if is_pipelined else "async"


def _micro(
    record: Record, source: str, dp: int, zero: int, notes: list[str], *, is_flat: bool
) -> int:
    """Return the sequences of a micro-batch: printed, configured or accumulated."""
    batch = record["batch"]
    for key in ("micro", "local_batch"):
        if key in batch:
            return int(batch[key])
    if source in rules.MICRO_BATCH:
        notes.append("the micro-batch is that of the source's configuration")
        return rules.MICRO_BATCH[source]
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
    each = num_sequences // (num_gpus // (plan.tp * plan.cp * plan.pp))
    if plan.pp > 1 or not each:
        return (1,)
    return tuple(size for size in (1, 2, 4, 8) if each % size == 0)


def zero_stage(given: Mapping[str, Any], source: str, dp: int, notes: list[str]) -> int:
    """Return the ZeRO stage that ``zero``, ``sharding`` or ``fsdp`` says.

    >>> zero_stage({"zero": "FSDP2 (ZeRO-3)"}, "torchtitan", 8, [])
    3
    >>> zero_stage({"sharding": "SHARD_GRAD_OP"}, "llmfoundry", 8, [])
    2
    """
    text = given.get("zero")
    if str(text).isdigit():
        return min(3, int(str(text)[:9]))
    words = f"{text or ''} {given.get('sharding', '')}".lower().strip()
    if not words and _group(given):
        return 3
    if not words:
        is_megatron = source in rules.MEGATRON or _is_split(given)
        stage = 1 if is_megatron and dp > 1 else 0
        if dp > 1:
            notes.append(f"the ZeRO stage is not printed: {stage}")
        return stage
    if re.search(r"not resharded|zero-?2|shard_grad_op", words):
        return 2
    if re.search(r"zero-?1|distributed", words):
        return 1
    is_whole = re.search(r"[fh]sdp|zero-?3|(full|hybrid)_?shard", words)
    return 3 if is_whole or _group(given) else 0


def _is_split(given: Mapping[str, Any]) -> bool:
    """Return whether tensors or layers are split, as Megatron-LM and its kin do."""
    return any(given.get(axis, 1) > 1 for axis in ("tp", "pp"))


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
    source: str,
    notes: list[str],
) -> tuple[int, int]:
    """Return ep and etp; an expert group folds over dp, cp and tp."""
    if model.moe is None:
        return 1, 1
    ep, tp = int(given.get("ep", 1)), int(given.get("tp", 1))
    if "etp" in given or tp == 1:
        return ep, int(given.get("etp", 1))
    etp = 1 if source in rules.WHOLE_EXPERTS or num_ranks % (ep * tp) else tp
    notes.append(f"expert tensor parallelism is not printed: {etp}")
    return ep, etp


def _schedule(
    record: Record, source: str, num_layers: int, pp: int, notes: list[str]
) -> tuple[str, int | None]:
    """Return the schedule's name and its virtual stages."""
    text = str(record.get("schedule") or rules.SCHEDULE.get(source, "")).lower()
    virtual = record.get("parallel", {}).get("vp")
    if pp == 1:
        if has_fused_experts(record, source):
            notes.append("the recipe overlaps expert exchanges of two micro-batches")
            return "interleaved-1f1b-overlap", 1
        return "1f1b", None
    for words, name in rules.SCHEDULES:
        if says(text, words):
            return name, None
    if not says(text, "interleaved") and (virtual or 1) == 1:
        return "1f1b", None
    if virtual is None:
        virtual = _most_virtual(num_layers, pp)
        notes.append(f"virtual stages are not printed: {virtual} a rank")
    if virtual == 1:
        return "1f1b", None
    is_overlapped = says(text, r"(a2a|all-to-all) overlap")
    recipe = rules.OVERLAPPED_EXPERTS.get(source)
    named = model_and_gpu(record)
    if not is_overlapped and (
        has_fused_experts(record, source) or (recipe and re.search(recipe, named))
    ):
        is_overlapped = True
        notes.append("the recipe overlaps expert exchanges")
    return f"interleaved-1f1b{'-overlap' * is_overlapped}", virtual


def _dispatch(record: Record, source: str) -> Literal["deduplicated", "all-to-all"]:
    """Return how tokens reach their experts: as printed, else as the source does."""
    text = record.get("notes")
    if says(text, r"dispatcher (a2a|all-?to-?all)"):
        return "all-to-all"
    is_flexible = says(text, r"deepep|hybridep")
    words = rules.FLEXIBLE_IN.get(source, {}).get(release(record), "")
    known = source in rules.DEDUPLICATED and re.search(words, model_and_gpu(record))
    return "deduplicated" if known or is_flexible else "all-to-all"


def has_fused_experts(record: Record, source: str) -> bool:
    """Return whether a recipe fuses what surrounds the products of experts."""
    since, domain = rules.FUSED_EXPERTS.get(source, ("", ""))
    return bool(
        since
        and release(record) >= since
        and record["model"]["type"] == "moe"
        and "mxfp8" in str(record.get("precision", "")).lower().replace("-", "")
        and domain in str(record["cluster"].get("interconnect", "")).lower()
    )


def _stages(schedule: str, virtual: int | None) -> int:
    """Return a rank's stages of one micro-batch's way."""
    return virtual or (2 if schedule in ("zb-v", "v-half", "v-min") else 1)


def _most_virtual(num_layers: int, pp: int) -> int:
    """Return the largest number that divides a rank's layers, at most 4.

    An interleaved schedule has at least two: seven layers make seven stages, as in
    Mixtral-8x22B of Megatron-MoE-ModelZoo (commit e865051, runtime.conf).

    >>> _most_virtual(32, 8), _most_virtual(126, 16), _most_virtual(22, 8)
    (4, 4, 3)
    >>> _most_virtual(56, 8)
    7
    """
    each = -(-num_layers // pp)
    divisors = [v for v in range(2, each + 1) if each % v == 0]
    few = [v for v in divisors if v <= rules.MOST_VIRTUAL]
    return max(few) if few else min(divisors, default=1)


def _layout(model: Transformer, source: str, pp: int, virtual: int) -> str:
    if source not in rules.WEIGHED_STAGES or pp == 1:
        return layout(model.num_layers, model.num_mtp_modules, pp, virtual)
    h, matrices = model.hidden_size, 3 if model.mlp.is_gated else 2
    layer = 4 * h * h + matrices * model.mlp.ffn_hidden_size * h
    return weighed_layout(model.num_layers, layer, model.vocab_size * h, pp)


def layout(num_layers: int, num_mtp_modules: int, pp: int, virtual: int) -> str:
    """Return lighter first and last stages where layers miss by few.

    Llama 3 405B holds 126 layers on 128 places and zero-bubble models lack two by
    design: one less on either end. A multi-token-prediction module and its head stand
    in for up to three layers of the last stage, then of the first, as in the layouts
    of Megatron-LM's DeepSeek-V3 recipes. Otherwise layers are spread evenly, the
    remainder over the early stages.

    >>> layout(6, 0, 4, 1), layout(5, 1, 4, 1)
    ('Et|tt|tt|tL', 'Et|tt|tt|mL')
    >>> layout(8, 0, 4, 1), layout(13, 0, 4, 1)
    ('even', 'even')
    """
    stages = pp * virtual
    missing = -num_layers % stages
    if pp == 1 or not missing or missing > (3 if num_mtp_modules else 2):
        return EVEN
    each = (num_layers + missing) // stages
    off_last = min(each, missing) if num_mtp_modules else 1
    if missing - off_last > each:
        return EVEN
    counts = [each] * stages
    counts[-1] -= off_last
    counts[0] -= missing - off_last
    text = "E" + "|".join("t" * count for count in counts)
    return text + "m" * num_mtp_modules + "L"


def weighed_layout(
    num_layers: int, layer_weights: int, head_weights: int, num_stages: int
) -> str:
    """Return a layout by the weights of layers and head, as nanotron balances stages.

    A stage ends with the first block that takes it beyond its share; the embedding
    weighs nothing. Where the head ends a stage that is not the last, the loss stands
    alone; here the head goes with it. Source: huggingface/nanotron, commit 67c5ebb,
    ``models/base.py``, ``build_model``.

    >>> weighed_layout(16, 67_108_864, 268_435_456, 2)
    'Ettttttttttt|tttttL'
    >>> weighed_layout(16, 67_108_864, 268_435_456, 8)
    'Ettt|ttt|tt|ttt|tt|ttt||L'
    """
    total = num_layers * layer_weights + head_weights
    stages, done = ["E"], 0
    for _ in range(num_layers):
        stages[-1] += "t"
        done += layer_weights
        if done * num_stages > total * len(stages):
            stages.append("")
    stages += [""] * (num_stages - len(stages))
    return "|".join(stages) + "L"
