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

Recipe = Literal["bf16", "fp16", "fp8", "fp8-row", "fp8-tensor", "mxfp8", "nvfp4"]
"""Number format and scaling of linear layers; everything else stays BF16 or FP32.

``fp8``: E4M3 with one scale per 1x128 activation tile and 128x128 weight block, as
DeepSeek-V3 trains; ``fp8-row``: one per row of each operand (torchao);
``fp8-tensor``: one scale per tensor (Transformer Engine);
``mxfp8``: one per 32 elements; ``nvfp4``: E2M1 with one per 16. ``fp16``
has the peaks of ``bf16``, and a loss scale.
"""


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


def _precision(value: object) -> object:
    return {"recipe": value} if isinstance(value, str) else value


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
    placement: Literal[
        "tp-cp-dp-pp", "tp-dp-cp-pp", "tp-cp-pp-dp", "tp-pp-dp-cp", "tp-pp-cp-dp"
    ] = "tp-cp-dp-pp"
    """Which ranks lie next to each other on nodes, innermost first; Megatron-LM's
    default. Expert groups fold into the ranks of one stage in the same order."""
    expert_imbalance: Annotated[float, Field(ge=1, le=100)] = 1.0
    """Tokens of the busiest expert rank over the mean."""
    expert_capacity: Annotated[float, Field(ge=0, le=100)] = 0.0
    """Rows that an expert takes at most, over the mean; further ones are dropped.
    0: none are (dropless)."""
    activation_offload: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the activations that wait in host memory for their backward pass."""

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
