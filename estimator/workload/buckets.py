"""Buckets of whole weights in which gradients and weights travel beside computation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

from estimator.costs.params import block_params
from estimator.specs.model import BLOCKS, BlockKind, Transformer
from estimator.specs.scenario import Scenario
from estimator.workload.stages import Element, Held, held


def num_buckets(sizes: Iterable[float], limit: float) -> int:
    """Return the buckets that weights of these sizes fill, one after the other.

    A weight that takes its bucket to the limit closes it (PyTorch,
    ``compute_bucket_assignment_by_size``; NVIDIA/Megatron-LM,
    ``core/distributed/param_and_grad_buffer.py``).

    >>> num_buckets([3, 1, 1, 5, 1], 4), num_buckets([], 4)
    (3, 0)
    """
    count, filled = 0, 0.0
    for size in sizes:
        count += not filled
        filled = filled + size if filled + size < limit else 0.0
    return count


def buckets(scenario: Scenario, parts: Sequence[Element]) -> Held:
    """Return the buckets of a rank's shared weights and of its experts'; 1 if whole."""
    gradients = scenario.software.gradients
    if not gradients.bucket_size:
        return Held(1, 1)
    num_replicas = scenario.dp * scenario.plan.cp
    limit = max(gradients.bucket_size, gradients.bucket_per_replica * num_replicas)
    sizes = [_sizes(scenario, element) for element in reversed(parts)]
    kinds = zip(*sizes, strict=True) if sizes else ((), ())
    return Held(*(max(1, num_buckets(chain(*kind), limit)) for kind in kinds))


def _sizes(
    scenario: Scenario, element: Element
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return an element's large weights on a rank, shared and experts', last first."""
    if not element.is_layer:
        return (held(scenario, element).shared,), ()
    model, plan = scenario.model, scenario.plan
    shared: list[float] = []
    experts: list[float] = []
    for block in reversed(BLOCKS[model.layer_kinds[element.layer]]):
        counts = block_params(model, block)
        share = _output_share(model, block)
        if counts.shared:
            each = counts.shared / plan.tp
            shared += [share * each, (1 - share) * each]
        if counts.experts and model.moe:
            each = counts.experts / model.moe.num_experts / plan.etp
            local = model.moe.num_experts // plan.ep
            experts += [share * each, (1 - share) * each] * local
    return tuple(shared), tuple(experts)


def _output_share(model: Transformer, block: BlockKind) -> float:
    """Return the share of a block's weights that are its second product's."""
    if block in ("mlp", "moe"):
        return 1 / (3 if model.mlp.is_gated else 2)
    out = model.attention.num_heads * model.attention.v_dim
    if block == "mamba" and model.mamba:
        out = model.mamba.inner_size
    return out * model.hidden_size / block_params(model, block).shared
