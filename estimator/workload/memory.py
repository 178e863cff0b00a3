"""Peak bytes per rank: weights, gradients, optimizer, activations, buffers.

Activations follow the program: a forward pass adds what the backward passes need, the
input pass frees what only it needs, the weight (or full backward) pass the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from estimator.schedules.ir import Op, Program
from estimator.specs.scenario import Scenario
from estimator.workload.chunks import Element
from estimator.workload.synchronisation import (
    FORMAT_BYTES,
    MASTER,
    Replicas,
    held,
    replicas,
)
from estimator.workload.work import Sizes

CONTEXT_BYTES = 1.0e9
"""CUDA context, workspace of the matrix library; assumed."""
COLLECTIVE_BUFFER_BYTES = 1.5e9
"""NCCL and all-to-all channels; assumed."""
FP8_WITH_SCALES = 1 + 4 / 128
E5M6 = 1.5
"""Attention output in 12 bits, as DeepSeek-V3 keeps it: report, section 3.3."""
ROUTING_BYTES = 16
"""Per routed row: weight, index, position."""


class Stored(NamedTuple):
    """Bytes of one micro-batch that are kept between its passes."""

    until_input: float
    """Freed by the input pass."""
    until_weight: float
    """Freed by the weight pass."""

    @property
    def total(self) -> float:
        """Both."""
        return self.until_input + self.until_weight


@dataclass(frozen=True)
class RankMemory:
    """Peak bytes of one rank by part."""

    weights: float
    gradients: float
    optimizer: float
    activations: float
    buffers: float

    @property
    def total(self) -> float:
        """Sum of the parts."""
        return (
            self.weights
            + self.gradients
            + self.optimizer
            + self.activations
            + self.buffers
        )


def layer_activations(size: Sizes, kind: str) -> Stored:
    """Return what one layer keeps of one micro-batch."""
    h = size.model.hidden_size
    if "full" in size.recompute:
        return Stored(0.0, 2.0 * size.split_tokens * h)
    inputs = 2 if "layernorm" in size.recompute else 4  # residual, and normed input
    kept = size.split_tokens * h * inputs * 2.0
    attention = _attention(size)
    feed_forward = _dense(size) if kind == "dense" else _moe(size)
    return Stored(
        attention.until_input + feed_forward.until_input,
        kept + attention.until_weight + feed_forward.until_weight,
    )


def _attention(size: Sizes) -> Stored:
    attention, heads = size.model.attention, size.heads
    out = heads * attention.v_dim * (E5M6 if size.is_fp8 else 2.0)
    statistics = 4.0 * heads
    if attention.kind == "mla":
        latents = 2.0 * (
            attention.q_lora_rank + attention.kv_lora_rank + attention.qk_rope_head_dim
        )
        width = attention.qk_dim + attention.qk_nope_head_dim + attention.v_head_dim
        qkv = 0.0 if "mla_up_proj" in size.recompute else 2.0 * heads * width
    else:
        latents = 0.0
        qkv = 2.0 * (heads + 2 * size.kv_heads) * attention.head_dim
    return Stored(
        size.tokens * (qkv + statistics),
        size.tokens * (latents + out),
    )


def _hidden(size: Sizes, width: int) -> float:
    """Bytes per row kept inside a feed-forward block of ``width``."""
    if "mlp" in size.recompute:
        return 0.0
    each = FP8_WITH_SCALES if size.is_fp8 else 2.0
    up = (2 if size.model.mlp.is_gated else 1) * width
    return each * (up + (0 if "moe_act" in size.recompute else width))


def _dense(size: Sizes) -> Stored:
    width = size.model.mlp.ffn_hidden_size // size.tp
    return Stored(0.0, size.tokens * _hidden(size, width))


def _moe(size: Sizes) -> Stored:
    moe = size.model.moe
    if moe is None:
        return _dense(size)
    each = FP8_WITH_SCALES if size.is_fp8 else 2.0
    rows = size.routed_rows
    arrived = size.received_rows * size.model.hidden_size * each
    shared = size.split_tokens * _hidden(
        size, moe.num_shared_experts * moe.ffn_hidden_size
    )
    experts = rows * _hidden(size, moe.ffn_hidden_size)
    return Stored(rows * ROUTING_BYTES, arrived + experts + shared)


def chunk_activations(size: Sizes, stage: tuple[Element, ...]) -> Stored:
    """Return what one micro-batch keeps on a stage."""
    stored = [
        layer_activations(size, "dense" if element.kind == "dense" else "moe")
        for element in stage
        if element.is_layer
    ]
    return Stored(
        sum(layer.until_input for layer in stored),
        sum(layer.until_weight for layer in stored),
    )


def peak_activations(program: Program, stored: tuple[Stored, ...]) -> list[float]:
    """Return the most activation bytes alive on each rank, from its program's order."""
    peaks = []
    for instructions in program.ranks:
        alive = peak = 0.0
        for instruction in instructions:
            for part in instruction.parts:
                kept = stored[part.stage]
                alive += {
                    Op.F: kept.total,
                    Op.B: -kept.total,
                    Op.I: -kept.until_input,
                    Op.W: -kept.until_weight,
                }[part.op]
                peak = max(peak, alive)
        peaks.append(peak)
    return peaks


def _buffers(size: Sizes, stages: list[tuple[Element, ...]]) -> float:
    """Return the bytes that exist once, whatever is in flight."""
    h, attention = size.model.hidden_size, size.model.attention
    total = CONTEXT_BYTES + COLLECTIVE_BUFFER_BYTES
    kinds = {element.kind for stage in stages for element in stage}
    heads = size.heads
    total += 4.0 * size.tokens * heads * (attention.qk_dim + 2 * attention.v_dim)
    if kinds & {"moe", "mtp"} and size.model.moe:
        up = (2 if size.model.mlp.is_gated else 1) * size.model.moe.ffn_hidden_size
        total += 2 * size.received_rows * h * 2.0  # sent and received
        total += size.routed_rows * (2 * h + up) * 2.0  # permuted in, out, gate and up
    elif "dense" in kinds:
        total += size.tokens * size.model.mlp.ffn_hidden_size // size.tp * 3 * 2.0
    if "head" in kinds:  # BF16 logits and FP32 probabilities
        total += size.tokens * size.model.vocab_size // size.tp * 6.0
    if "full" in size.recompute:
        layer = "moe" if kinds & {"moe", "mtp"} else "dense"
        alone = Sizes(**{**vars(size), "recompute": frozenset()})
        total += layer_activations(alone, layer).total
    return total


def memory(
    scenario: Scenario,
    size: Sizes,
    program: Program,
    stages: tuple[tuple[Element, ...], ...],
) -> tuple[RankMemory, ...]:
    """Return the peak bytes of each pipeline rank by part."""
    stored = tuple(chunk_activations(size, stage) for stage in stages)
    activations = peak_activations(program, stored)
    of_rank = [program.stages_of(rank) for rank in range(len(program.ranks))]
    num_copies = sum(0 in held_here for held_here in of_rank)
    groups = replicas(scenario, num_copies)
    return tuple(
        _rank_memory(
            scenario, size, [stages[stage] for stage in held_here], groups, kept
        )
        for held_here, kept in zip(of_rank, activations, strict=True)
    )


def _rank_memory(
    scenario: Scenario,
    size: Sizes,
    stages: list[tuple[Element, ...]],
    groups: Replicas,
    activations: float,
) -> RankMemory:
    precision = scenario.precision
    own = held(scenario, stages)
    total = own.shared + own.experts
    vocabulary = sum(
        size.model.vocab_size * size.model.hidden_size / size.tp
        for stage in stages
        for element in stage
        if element.kind == "embedding" or element.name == "head"
    )
    linear = FORMAT_BYTES[precision.recipe]
    state = MASTER + 2 * FORMAT_BYTES[precision.moments]
    is_sharded = scenario.plan.zero >= 1
    states = (
        own.shared / (groups.shared.size if is_sharded else 1)
        + own.experts / (groups.experts.size if is_sharded else 1)
    ) * state
    return RankMemory(
        weights=(total - vocabulary) * linear + vocabulary * 2,
        gradients=total * FORMAT_BYTES[precision.gradients],
        optimizer=states,
        activations=activations,
        buffers=_buffers(size, stages),
    )
