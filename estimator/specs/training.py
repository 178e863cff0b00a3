"""How a model is trained: parallel plan, precision, recomputation, phases."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, WithJsonSchema

from estimator.specs.base import (
    Count,
    CountOrNone,
    Depth,
    FewOrNone,
    GpuHours,
    Length,
    Line,
    Sequences,
    Tokens,
    spec,
)
from estimator.specs.degrees import Degrees
from estimator.specs.layout import EVEN

Module = Literal[
    "full",
    "core_attn",
    "layernorm",
    "mla_up_proj",
    "moe_act",
    "mlp",
    "mlp_up",
    "moe",
    "second_product",
]
"""Modules whose activations are recomputed, as Megatron-LM names them.

``mlp`` is the feed-forward block of dense layers only, ``mlp_up`` that block without
its last product, whose result no gradient needs (JAX repeats nothing else); ``moe`` is
the block of the other layers with both its exchanges, ``moe_act`` the activation
between the products of an expert. ``second_product`` is every second product of a
layer, as torchtitan's selective checkpointing by operation repeats them.
"""

Recipe = Literal["bf16", "fp8", "fp8-row", "fp8-tensor", "mxfp8", "nvfp4"]
"""Number format and scaling of linear layers; everything else stays BF16 or FP32.

``fp8``: E4M3 with one scale per 1x128 activation tile and 128x128 weight block, as
DeepSeek-V3 trains; ``fp8-row``: one per row of each operand (torchao);
``fp8-tensor``: one scale per tensor (Transformer Engine);
``mxfp8``: one per 32 elements; ``nvfp4``: E2M1 with one per 16. ``bf16`` stands for
FP16, too: the peaks are the same.
"""

AttentionKernel = Literal["fused", "flash-2", "flash-1", "unfused"]
LossKernel = Literal[
    "fused", "in-place", "half", "native", "unfused", "eager", "log-softmax"
]
ShardBuffer = Literal["per-weight", "flat", "in-place", "pieces"]
GradientPass = Literal["average", "check", "unscale", "bucket"]
"""Variants of a kernel or a pass; the fields of :class:`ParallelPlan` tell each."""


def _recompute(value: object) -> object:
    """Expand ``none``, ``selective`` and ``full``."""
    named: dict[object, tuple[str, ...]] = {
        "none": (),
        "selective": ("core_attn",),
        "full": ("full",),
    }
    if isinstance(value, str):
        if value not in named:
            known = ", ".join(get_args(Module))
            raise ValueError(
                f"{value[:60]!r} is neither none, selective, full nor a list of {known}"
            )
        return named[value]
    return value


Recompute = Annotated[
    tuple[Module, ...],
    BeforeValidator(
        _recompute,
        json_schema_input_type=Literal["none", "selective", "full"]
        | tuple[Module, ...],
    ),
]


@spec
class Precision:
    """Number formats."""

    recipe: Recipe
    gradients: Literal["fp32", "bf16", "bf16+fp32"] = "fp32"
    """Format that weight gradients are accumulated and reduced in; ``bf16+fp32``:
    products write BF16 gradients, which are then added to FP32 ones of their own, as
    ``plan.fused_gradients: false`` does for either."""
    moments: Literal["fp32", "bf16"] = "fp32"
    """Format of the optimizer's two moments; master weights are FP32."""


def _precision(value: object) -> object:
    return {"recipe": value} if isinstance(value, str) else value


@spec
class Overlap:
    """What runs behind computation."""

    expert_all_to_all: bool = True
    """Overlap dispatch and combine with the other chunk of a pair (DualPipe)."""
    tensor: Literal["none", "async", "pipelined"] = "async"
    """``async``: backward collectives behind weight gradients (Megatron-LM's default);
    ``pipelined``: also cut into chunks that hide behind their own products (Transformer
    Engine's user buffers)."""
    pipeline: bool = True
    """Send to the next stage behind computation; false: wait for each send, as
    DeepSpeed's pipeline does."""
    context: bool = True
    """Exchange keys and values behind attention (ring attention)."""
    gradient_reduce: bool = False
    """Reduce gradients behind the last backward pass (``--overlap-grad-reduce``)."""
    parameter_gather: bool = False
    """Gather weights behind the first forward pass (``--overlap-param-gather``)."""


StageLayout = Annotated[
    str,
    BeforeValidator(
        lambda value: EVEN if value is None else value,
        json_schema_input_type=str | None,
    ),
]
"""None, with which a person takes back a layout, is ``even``."""


@spec
class ParallelPlan:
    """How the work is spread; the data-parallel size follows from the rest."""

    pp: Depth = 1
    tp: Count = 1
    cp: Count = 1
    """Context parallelism: each rank holds a part of every sequence."""
    ep: Count = 1
    etp: Count = 1
    """Tensor parallelism inside an expert."""
    zero: Annotated[int, Field(ge=0, le=3)] = 1
    """Sharded over data-parallel replicas: 1 optimizer states, 2 gradients, 3 weights
    as well (FSDP: gathered for each layer's passes)."""
    dp_shard: CountOrNone = 0
    """Replicas that share one copy under ZeRO (HSDP); 0: all."""
    schedule: str = "1f1b"
    stages_per_rank: Depth | None = None
    """Virtual stages; the schedule's own number unless given."""
    stage_layout: StageLayout = EVEN
    """Layers of each stage in Megatron-LM's notation (``specs/layout.py``), or
    ``even``, as null is."""
    micro_batch_size: Count = 1
    sequence_parallel: bool = True
    """Split norms and residuals over tensor-parallel ranks."""
    early_stop: bool = False
    """Recomputing a layer ends with the last tensor that a gradient needs: a block's
    last product and its collective are left out (``torch.utils.checkpoint`` since
    2.1, where it is not reentrant; compiled programs anyway)."""
    batch_first: bool = False
    """Activations are laid out batch by batch, so that a tensor-parallel collective
    along the sequence copies them whole (PyTorch's DTensor); false: the sequence comes
    first (Megatron-LM)."""
    placement: Literal[
        "tp-cp-dp-pp", "tp-dp-cp-pp", "tp-cp-pp-dp", "tp-pp-dp-cp", "tp-pp-cp-dp"
    ] = "tp-cp-dp-pp"
    """Which ranks lie next to each other on nodes, innermost first; Megatron-LM's
    default. Expert groups fold into the ranks of one stage in the same order."""
    context_exchange: Literal["ring", "all-gather"] = "ring"
    """How context-parallel ranks see each other's keys and values: passed around while
    attention runs rank by rank, or gathered before it runs on all of them."""
    context_sums: Literal["bf16", "fp32"] = "bf16"
    """Format in which a ring adds up what its steps leave: partial results, and
    gradients of keys and values, which travel in it (``bf16``: Transformer Engine;
    ``fp32``: PyTorch)."""
    attention_kernel: AttentionKernel = "fused"
    """``fused``: the fastest known on the GPU; ``flash-2``, ``flash-1``: earlier
    releases of FlashAttention (2023, 2022); ``unfused``: scores are written to memory,
    as before."""
    fused_projections: bool = True
    """Queries, keys and values are one product, and so are gate and up-projection;
    false: one each, and the gradients of the input that they share are summed."""
    attention_copies: FewOrNone = 0
    """Tensors of all heads' width that are copied around attention, forward and again
    backward: queries, keys and values in another order, joined or cut apart."""
    repeats_kv: bool = False
    """Keys and values are copied for each head that reads them, as PyTorch's
    ``scaled_dot_product_attention`` needs without ``enable_gqa``."""
    dropout: bool = False
    """Whether attention's probabilities and what is added to the residual drop some
    (Megatron-LM's default until 2023, 0.1 each)."""
    transformer_impl: Literal["transformer_engine", "local"] = "transformer_engine"
    """Megatron-LM's name of the library that a layer comes from. ``local``: its own
    layers, which have biases, each of whose gradients is a sum of its own, and copy
    attention's result and the gradients of queries, keys and values."""
    fused_kernels: bool = True
    """A gated activation is one kernel (Megatron-LM, Transformer Engine); false: one
    kernel per operation, each keeping its result, as plain PyTorch runs."""
    loss_kernel: LossKernel = "fused"
    """``fused``: one kernel that keeps FP32 probabilities; ``in-place``: two that leave
    the BF16 gradient where the logits were (Transformer Engine, 2025); ``half``: one
    that keeps BF16 logits and writes their BF16 gradient, nothing in FP32
    (FlashAttention's cross entropy); ``unfused``: one kernel per operation on FP32
    logits, in place (Megatron-LM before June 2024); ``native``: the same operations
    compiled into three (its ``cross_entropy_loss_fusion``); ``eager``: each keeps its
    result, as DTensor's loss over a split vocabulary does; ``log-softmax``: PyTorch's
    ``cross_entropy`` on an FP32 copy."""
    expert_dispatch: Literal["deduplicated", "all-to-all"] = "deduplicated"
    """How tokens reach experts: once for each node and rank that they visit (DeepEP,
    HybridEP), or one row for each expert in a collective (Megatron-LM's
    ``alltoall`` dispatcher)."""
    fused_experts: bool = False
    """The exchange permutes rows, and expert products apply their activation and casts
    themselves (HybridEP with Transformer Engine's fused grouped MLP, 2026)."""
    fused_router: bool = False
    """Experts are chosen, and the auxiliary loss is weighed, by a kernel each; false:
    by PyTorch's operations one by one."""
    fused_norms: bool = True
    """Norms and rotary embeddings are single kernels; false: FP32 operations one by
    one, as plain PyTorch runs them."""
    fused_gradients: bool = True
    """Products add a weight's gradient to what is accumulated themselves (Megatron-LM's
    ``gradient_accumulation_fusion``, 2022); false: they write it in 16 bits, and a
    kernel of its own adds it."""
    launch: Literal["queued", "graph", "blocking"] = "queued"
    """How kernels reach the GPU: queued one by one, so that a step lasts at least as
    long as the host needs for them; as a captured or compiled graph; or one by one with
    a wait for each (``CUDA_LAUNCH_BLOCKING``), so that the host's time adds up."""
    shard_buffer: ShardBuffer = "per-weight"
    """Where sharded weights are gathered to and gradients scattered from.
    ``per-weight``: a buffer, copied to and from each weight (PyTorch's FSDP2);
    ``flat``: one flat parameter, whose gradients are joined and divided (FSDP1);
    ``in-place``: no copies (XLA, Megatron-FSDP); ``pieces``: each weight alone, as a
    list with a tensor of each rank that the host copies one by one (DeepSpeed's ZeRO-3
    of 2021)."""
    checks_collectives: bool = False
    """Before each collective the hosts of all its ranks meet and compare shapes
    (PyTorch's ``TORCH_DISTRIBUTED_DEBUG=DETAIL``)."""
    zero_reduction: Literal["reduce-scatter", "all-reduce"] = "reduce-scatter"
    """How ZeRO-1 reduces gradients: each replica gets what it updates, or all of them
    (nanotron)."""
    bucket_size: CountOrNone = 0
    """Parameters that travel at once, in whole weights, where gradients or weights move
    beside computation (Megatron-LM's ``ddp-bucket-size``); 0: all of them."""
    gradient_passes: Annotated[tuple[GradientPass, ...], Field(max_length=8)] = ()
    """Kernels of their own over the gradients before the optimizer. ``average``:
    divides them by the replicas before the reduction, which otherwise does;
    ``check``: looks for NaN before it (Megatron-LM's ``check_for_nan_in_grad``);
    ``unscale``: takes out the loss scale of an FP16 run; ``bucket``: copies 16-bit ones
    into the buckets that are reduced, and back (PyTorch's DDP)."""
    software_maturity: Annotated[float, Field(ge=1e-6, le=2)] = 1.0
    """Rates of all kernels over those in the GPU's file: below 1 for young or generic
    software, above 1 for releases newer than the measurements."""
    num_comm_sms: Annotated[int, Field(ge=0, le=64)] | None = None
    """Streaming multiprocessors that the expert all-to-all takes from computation
    while both run; what the GPU's file says (``in_situ.comm_sms``) unless given."""
    expert_imbalance: Annotated[float, Field(ge=1, le=100)] = 1.0
    """Tokens of the busiest expert rank over the mean."""
    expert_capacity: Annotated[float, Field(ge=0, le=100)] = 0.0
    """Rows that an expert takes at most, over the mean; further ones are dropped.
    0: none are (dropless)."""
    activation_offload: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the activations that wait in host memory for their backward pass."""
    overlap: Overlap = Field(default_factory=Overlap)

    @property
    def busiest(self) -> float:
        """Rows that the busiest expert rank multiplies, over the mean."""
        if not self.expert_capacity:
            return self.expert_imbalance
        return min(self.expert_imbalance, self.expert_capacity)

    def stride(self, axis: str, dp: int) -> int:
        """Return how far neighbours along an axis lie apart, in GPUs.

        >>> ParallelPlan(tp=8, cp=2, pp=4).stride("dp", dp=16)
        16
        """
        sizes = {"tp": self.tp, "cp": self.cp, "dp": dp, "pp": self.pp}
        order = self.placement.split("-")
        return math.prod(sizes[name] for name in order[: order.index(axis)])

    @property
    def degrees(self) -> Degrees:
        """Along how many GPUs each thing is cut."""
        return Degrees(self.tp, self.cp, self.pp, self.ep, self.etp, self.dp_shard)


@spec
class GlobalBatch:
    """Sequences per optimizer step, constant or growing linearly in tokens."""

    final: Sequences
    initial: Sequences
    ramp_tokens: Annotated[float, Field(ge=0, le=1e18)] = 0.0


def _global_batch(value: object) -> object:
    if isinstance(value, GlobalBatch):
        return value
    if not isinstance(value, Mapping):
        return {"final": value, "initial": value}
    if set(value) == {"ramp"} and isinstance(value["ramp"], Mapping):
        ramp: Mapping[str, Any] = value["ramp"]
        if set(ramp) == {"from", "to", "over_tokens"}:
            return {
                "initial": ramp["from"],
                "final": ramp["to"],
                "ramp_tokens": ramp["over_tokens"],
            }
    raise ValueError(
        "write a number of sequences, or "
        "{ramp: {from: 1024, to: 4096, over_tokens: 1e9}}"
    )


GlobalBatchField = Annotated[
    GlobalBatch,
    BeforeValidator(
        _global_batch,
        json_schema_input_type=Annotated[
            Any,
            WithJsonSchema(
                {
                    "anyOf": [
                        {"type": "integer", "minimum": 1},
                        {
                            "type": "object",
                            "required": ["ramp"],
                            "additionalProperties": False,
                            "properties": {
                                "ramp": {
                                    "type": "object",
                                    "required": ["from", "to", "over_tokens"],
                                    "additionalProperties": False,
                                    "properties": {
                                        "from": {"type": "integer"},
                                        "to": {"type": "integer"},
                                        "over_tokens": {"type": "number"},
                                    },
                                }
                            },
                        },
                    ]
                }
            ),
        ],
    ),
]


@spec
class Phase:
    """A stretch of training: simulated, or taken from its source as published."""

    name: Line
    basis: Literal["simulated", "published"] = "simulated"
    num_tokens: Tokens | None = None
    seq_len: Length | None = None
    global_batch_size: GlobalBatchField | None = None
    gpu_hours: GpuHours | None = None
    source: str = ""
    node: str = ""
    """The built-in node that a published phase's hours were spent on; the scenario's
    own unless given."""

    def __post_init__(self) -> None:
        simulated = ("num_tokens", "seq_len", "global_batch_size")
        published = ("gpu_hours", "source")
        wanted, barred = (
            (simulated, ("gpu_hours", "node"))
            if self.basis == "simulated"
            else (published, ("num_tokens", "seq_len", "global_batch_size"))
        )
        missing = [name for name in wanted if not getattr(self, name)]
        excess = [name for name in barred if getattr(self, name)]
        if missing:
            raise ValueError(f"a {self.basis} phase needs {', '.join(missing)}")
        if excess:
            raise ValueError(f"a {self.basis} phase has no {', '.join(excess)}")


PrecisionField = Annotated[
    Precision, BeforeValidator(_precision, json_schema_input_type=Recipe | Precision)
]
