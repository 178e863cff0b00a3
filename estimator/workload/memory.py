"""Peak bytes per rank: weights, gradients, optimizer, activations, buffers.

Activations follow the program: a forward pass adds what the backward passes need, the
input pass frees what only it needs, the weight (or full backward) pass the rest. Where
nothing runs backward, there are weights, the layer in work and what passes it on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from estimator.ground.lanes import largest
from estimator.schedules.notation import Program
from estimator.specs.hardware import Node
from estimator.specs.scenario import Scenario
from estimator.specs.software import LossKernel
from estimator.specs.training import ParallelPlan
from estimator.workload.alive import Stored, peaks
from estimator.workload.attention import MASK, has_eager_softmax
from estimator.workload.ends import loss_kernel
from estimator.workload.stages import Element, total_held
from estimator.workload.states import states_of
from estimator.workload.vocabulary import rows_of_rank
from estimator.workload.work import Sizes

SCORE_BYTES = 2
EAGER_SCORE_BYTES = 4
DROPPED_BYTES = 2 + MASK
"""Per score of unfused attention: the softmax's result, in FP32 where it is several
kernels; dropout's and a mask."""
LOGIT_BYTES: Mapping[LossKernel, float] = {
    "half": 4.0,
    "fused": 12.0,
    "in-place": 4.0,
    "native": 12.0,
    "unfused": 12.0,
    "eager": 20.0,
    "log-softmax": 14.0,
}
"""BF16 logits and gradients; an FP32 copy and FP32 probabilities as well; two more FP32
copies as well; or BF16 logits, the FP32 result and two FP32 gradients."""
E5M6 = 1.5
"""Attention output in 12 bits, as DeepSeek-V3 keeps it: report, section 3.3."""
ROUTING_BYTES = 16
"""Per routed row: weight, index, position."""


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


def layer_activations(size: Sizes, element: Element) -> Stored:
    """Return what one layer keeps of one micro-batch, in bytes.

    ``size`` is one rank's share, ``element`` the layer. Inputs of what runs backward, 2
    bytes an element unless the recipe keeps less: Korthikanti et al., MLSys 2023,
    section 4, kernel by kernel.
    """
    h = size.model.hidden_size
    if "full" in size.recompute:
        return Stored(0.0, 2.0 * size.split_tokens * h)
    blocks = (element.mixer is not None) + (element.feed_forward is not None)
    each = 1 if "layernorm" in size.recompute else 2  # residual, and normed input
    kept = (
        size.split_tokens
        * h
        * blocks
        * (2.0 * each + size.software.defaults.dropout * MASK)
    )
    parts = [_mixer(size, element), _feed_forward(size, element)]
    return Stored(
        sum(part.until_input for part in parts),
        kept + sum(part.until_weight for part in parts),
    )


def _mixer(size: Sizes, element: Element) -> Stored:
    if element.mixer == "mamba":
        return _mamba(size)
    return _attention(size) if element.mixer == "attention" else Stored(0.0, 0.0)


def _attention(size: Sizes) -> Stored:
    attention, heads = size.model.attention, size.heads
    out = heads * attention.v_dim * (E5M6 if size.keeps_12_bits else 2.0)
    statistics = 4.0 * heads
    if attention.kind == "mla":
        latents = 2.0 * (
            attention.q_lora_rank + attention.kv_lora_rank + attention.qk_rope_head_dim
        )
        width = attention.qk_dim + attention.qk_nope_head_dim + attention.v_head_dim
        qkv = 0.0 if "mla_up_proj" in size.recompute else 2.0 * heads * width
    else:
        latents = 0.0
        kept = 1 if "second_product" in size.recompute else 2
        qkv = 2.0 * (heads + kept * size.read_kv_heads) * attention.head_dim
    scores = 0.0
    if (
        size.software.kernels.attention == "unfused"
        and "core_attn" not in size.recompute
    ):
        kept = EAGER_SCORE_BYTES if has_eager_softmax(size) else SCORE_BYTES
        kept += DROPPED_BYTES * size.software.defaults.dropout
        scores = float(kept) * heads * size.seq_len
    return Stored(
        size.tokens * (qkv + statistics + scores), size.tokens * (latents + out)
    )


def _mamba(size: Sizes) -> Stored:
    mamba = size.model.mamba
    assert mamba  # noqa: S101 - asked of Mamba layers only
    inner = mamba.inner_size / size.tp
    return Stored(
        size.tokens * 2.0 * (mamba.in_size / size.tp + inner), size.tokens * 2.0 * inner
    )


def _hidden(size: Sizes, width: float) -> float:
    """Bytes per row kept inside a feed-forward block of ``width``."""
    is_half = "second_product" in size.recompute
    up = (2 if size.model.mlp.is_gated and not is_half else 1) * width
    before = size.format.kept if size.keeps_12_bits else 2.0
    after = 0.0 if "moe_act" in size.recompute else size.format.kept * width
    if size.model.mlp.is_gated and not size.software.kernels.fused_activations:
        after += 2.0 * width  # the gate behind its activation
    return before * up + after


def _feed_forward(size: Sizes, element: Element) -> Stored:
    if element.feed_forward is None or element.feed_forward in size.recompute:
        return Stored(0.0, 0.0)
    if element.feed_forward == "mlp":
        if "mlp_up" in size.recompute:
            return Stored(0.0, 0.0)
        width = size.model.mlp.ffn_hidden_size / size.tp
        return Stored(0.0, size.tokens * _hidden(size, width))
    return _moe(size)


def _moe(size: Sizes) -> Stored:
    rows = size.routed_rows
    arrived = size.received_rows * size.model.hidden_size * size.format.kept
    shared = size.expert_tokens * _hidden(size, size.moe.shared_width)
    experts = rows * _hidden(size, size.moe.ffn_hidden_size / size.plan.etp)
    return Stored(rows * ROUTING_BYTES, arrived + experts + shared)


def chunk_activations(size: Sizes, stage: tuple[Element, ...]) -> Stored:
    """Return what one micro-batch keeps on a stage."""
    stored = [layer_activations(size, element) for element in stage if element.is_layer]
    return Stored(
        sum(layer.until_input for layer in stored),
        sum(layer.until_weight for layer in stored),
    )


def head_buffer(size: Sizes, stages: list[tuple[Element, ...]]) -> float:
    """Return the bytes of logits, from the head's forward to its backward pass.

    ``tokens vocabulary / tp`` times the loss kernel's :data:`LOGIT_BYTES`, where one of
    the ``stages`` holds the head, else 0.
    """
    if not any(element.kind == "head" for stage in stages for element in stage):
        return 0.0
    vocabulary = rows_of_rank(size.model, size.software, size.tp)
    return size.tokens * vocabulary * LOGIT_BYTES[loss_kernel(size)]


def _exchanged(size: Sizes) -> float:
    """Return the bytes of rows on their way to experts and back."""
    rows = size.received_rows + size.routed_rows  # sent and received, permuted
    return 4.0 * rows * size.model.hidden_size


def layer_buffer(size: Sizes, stages: list[tuple[Element, ...]]) -> float:
    """Return the bytes that exist while one layer's backward pass runs."""
    h, attention = size.model.hidden_size, size.model.attention
    layers = [element for stage in stages for element in stage if element.is_layer]
    total = 4.0 * size.tokens * size.heads * (attention.qk_dim + 2 * attention.v_dim)
    up = 2 if size.model.mlp.is_gated else 1
    if any(element.feed_forward == "moe" for element in layers):
        width = up * size.moe.ffn_hidden_size / size.plan.etp
        total += 2 * size.received_rows * h * 2.0  # sent and received
        total += size.routed_rows * (2 * h + width) * 2.0  # permuted in and out
    elif any(element.feed_forward == "mlp" for element in layers):
        width = (up + 1) * size.model.mlp.ffn_hidden_size / size.tp
        total += size.tokens * width * 2.0
    if "full" in size.recompute:
        total += _layer_in_work(size, layers)
    return total


def _layer_in_work(size: Sizes, layers: Iterable[Element]) -> float:
    """Return the bytes of the largest layer's own tensors while it runs."""
    whole = replace(size, recompute=frozenset())
    made = (layer_activations(whole, element).total for element in layers)
    return max(made, default=0.0)


def fixed_bytes(node: Node) -> float:
    """Return the bytes of a GPU's context and of its collectives' channels."""
    return node.gpu.context_bytes.value + node.collectives.buffer_bytes.value


def _forward_only(
    scenario: Scenario, size: Sizes, stages: list[tuple[Element, ...]], num_copies: int
) -> RankMemory:
    """Return the bytes of a rank where nothing runs backward.

    A layer's tensors go when the next one has its result: what a stage takes in, what
    it hands on, and the largest layer.
    """
    layers = [element for stage in stages for element in stage if element.is_layer]
    ends = 2 * 2.0 * size.split_tokens * size.model.hidden_size
    has_experts = any(element.feed_forward == "moe" for element in layers)
    exchanged = _exchanged(size) if has_experts else 0.0
    passing = max(head_buffer(size, stages), exchanged)
    return RankMemory(
        weights=states_of(scenario, stages, num_copies)[0],
        gradients=0.0,
        optimizer=0.0,
        activations=ends + _layer_in_work(size, layers),
        buffers=fixed_bytes(scenario.cluster.node) + passing,
    )


def _passing(
    size: Sizes, stages: list[tuple[Element, ...]], *, has_pairs: bool
) -> float:
    """Return the bytes of buffers that exist while a chunk runs.

    The logits are gone before a layer's backward pass starts, unless another chunk's
    runs beside the head.
    """
    head, layer = head_buffer(size, stages), layer_buffer(size, stages)
    return head + layer if has_pairs else passing_alone(head, layer)


def passing_alone(head: float, layer: float) -> float:
    """Return the bytes of buffers where logits are gone before a layer runs back."""
    return largest(head, layer)


def share_that_stays(plan: ParallelPlan) -> float:
    """Return the share of activations that is not moved to the host."""
    return 1 - plan.activation_offload


def memory(
    scenario: Scenario,
    size: Sizes,
    program: Program,
    stages: tuple[tuple[Element, ...], ...],
) -> tuple[RankMemory, ...]:
    """Return the peak bytes of each pipeline rank by part.

    Parameters
    ----------
    scenario : Scenario
        Its plan and precision.
    size : Sizes
        Tokens, heads and rows of one rank's share of a micro-batch.
    program : Program
        What each rank runs, in order.
    stages : tuple of tuple of Element
        What each stage holds.

    Notes
    -----
    States and gradients of the rank's parameters, activations at the worst moment of
    its program, buffers of the larger of the head and a layer; what an allocator cannot
    use for its fragments is not counted.
    """
    stays = share_that_stays(size.plan)
    stored = tuple(
        Stored(*(stays * part for part in chunk_activations(size, stage)))
        for stage in stages
    )
    fixed = fixed_bytes(scenario.cluster.node)
    of_rank = [program.stages_of(rank) for rank in range(len(program.ranks))]
    num_copies = sum(0 in held_here for held_here in of_rank)
    if not program.runs_backward:
        return tuple(
            _forward_only(scenario, size, [stages[one] for one in here], num_copies)
            for here in of_rank
        )
    states = [
        states_of(scenario, [stages[one] for one in here], num_copies)
        for here in of_rank
    ]
    alive = peaks(
        program,
        stored,
        tuple(
            _by_stage(scenario, stages, here, gradients)
            for here, (_, gradients, _) in zip(of_rank, states, strict=True)
        ),
        are_preallocated=size.software.gradients.are_preallocated,
    )
    ranks = []
    for rank, (weights, _, optimizer) in enumerate(states):
        here = [stages[stage] for stage in of_rank[rank]]
        has_pairs = any(len(one.parts) > 1 for one in program.ranks[rank])
        buffers = fixed + _passing(size, here, has_pairs=has_pairs)
        activations, gradients = alive[rank]
        ranks.append(RankMemory(weights, gradients, optimizer, activations, buffers))
    return tuple(ranks)


def _by_stage(
    scenario: Scenario,
    stages: tuple[tuple[Element, ...], ...],
    here: tuple[int, ...],
    gradients: float,
) -> dict[int, float]:
    """Return the bytes of a rank's gradients by stage, in proportion to its weights."""
    counts = {stage: sum(total_held(scenario, [stages[stage]])) for stage in here}
    total = sum(counts.values())
    return {
        stage: gradients * count / total for stage, count in counts.items() if total
    }
