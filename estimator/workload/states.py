"""Bytes of a rank's weights, gradients and optimizer, whole or sharded."""

from __future__ import annotations

from estimator.specs.scenario import Scenario
from estimator.workload import stored
from estimator.workload.stages import Element, Held, held, total_held
from estimator.workload.synchronisation import replicas, shards


def states_of(
    scenario: Scenario,
    stages: list[tuple[Element, ...]],
    num_copies: int,
) -> tuple[float, float, float]:
    """Return the bytes of weights, gradients and optimizer of the rank with these."""
    own = total_held(scenario, stages)
    if not own.shared + own.experts:  # an empty stage
        return 0.0, 0.0, 0.0
    vocabulary = sum(
        held(scenario, element).shared
        for stage in stages
        for element in stage
        if not element.is_layer
    )
    largest = max(sum(held(scenario, element)) for stage in stages for element in stage)
    return state_bytes(scenario, own, vocabulary, largest, num_copies)


def state_bytes(
    scenario: Scenario,
    own: Held,
    vocabulary: float,
    largest: float,
    num_copies: int,
) -> tuple[float, float, float]:
    """Return the bytes of weights, gradients and optimizer of so many parameters.

    ``vocabulary`` of them are embedding and head, ``largest`` one element's;
    ``num_copies`` pipeline ranks hold the same ones. Sharded as ZeRO has it:
    Rajbhandari et al., SC 2020, figure 1.
    """
    zero, total = scenario.plan.zero, own.shared + own.experts
    whole, sharded = replicas(scenario, num_copies), shards(scenario)
    sharers = sharded if zero > 1 else whole
    shard = own.shared / sharers.shared.size + own.experts / sharers.experts.size
    share = shard / total
    kept = stored.KEPT[stored.gradient_format(scenario)]
    gradients = total * kept
    if zero > 1:
        gradients = gradients * share + largest * kept
    if zero > 2:
        weights = shard * stored.shard_bytes(scenario)
        weights += _gathered(scenario, total, vocabulary, largest)
    else:
        weights = (total - vocabulary) * stored.whole_bytes(scenario)
        weights += vocabulary * stored.whole_bytes(scenario, is_layer=False)
    return weights, gradients, (shard if zero else total) * stored.state_bytes(scenario)


def _gathered(
    scenario: Scenario, total: float, vocabulary: float, largest: float
) -> float:
    """Return the bytes of weights that were gathered: one computes, the next arrives.

    All of a rank's where they stay.
    """
    each = stored.sent_bytes(scenario)
    if not stored.stays_gathered(scenario):
        return 2 * largest * each
    ends = stored.sent_bytes(scenario, is_layer=False)
    return (total - vocabulary) * each + vocabulary * ends
