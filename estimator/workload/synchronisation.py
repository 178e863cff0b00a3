"""Between two steps: gradient reduction, optimizer, weights back to every replica."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from estimator.costs.collectives import Group, all_gather_s, all_reduce_s, group
from estimator.costs.flop import layer_params
from estimator.costs.rates import Device, Links
from estimator.specs.scenario import Scenario
from estimator.workload.chunks import Element

FORMAT_BYTES = {"fp32": 4, "bf16": 2, "fp8": 1}
MASTER = 4
"""Bytes of an FP32 master weight."""


@dataclass(frozen=True)
class Held:
    """Parameters of one rank by how many copies of them exist."""

    shared: float
    """Replicated over data-parallel ranks."""
    experts: float
    """Replicated over groups of expert-parallel ranks."""


def held(scenario: Scenario, stages: Iterable[tuple[Element, ...]]) -> Held:
    """Return the parameters of the rank that holds these stages."""
    model, plan = scenario.model, scenario.plan
    h = model.hidden_size
    shared = experts = 0.0
    for stage in stages:
        for element in stage:
            if element.kind == "embedding":
                positions = model.num_learned_positions * h
                shared += (model.vocab_size * h + positions) / plan.tp
            elif element.name == "head":
                shared += model.vocab_size * h / plan.tp
            elif element.is_layer:
                kind = "dense" if element.kind == "dense" else "moe"
                layer = layer_params(model, kind)
                shared += layer.shared / plan.tp
                experts += layer.experts / plan.ep
                if element.kind == "mtp":
                    shared += (2 * h * h + 3 * h) / plan.tp
    return Held(shared, experts)


@dataclass(frozen=True)
class Replicas:
    """Groups that hold the same parameters."""

    shared: Group
    experts: Group


def replicas(scenario: Scenario, num_copies: int) -> Replicas:
    """Return the replica groups; ``num_copies`` pipeline ranks hold the same stage."""
    plan, per_node = scenario.plan, scenario.cluster.node.scaleup_gpus
    width = scenario.cluster.num_gpus // plan.pp
    shared = group(scenario.dp * num_copies, plan.tp, per_node)
    experts = group(width // plan.ep * num_copies, plan.ep, per_node)
    return Replicas(shared, experts)


def optimizer_phase_s(
    scenario: Scenario, own: Held, groups: Replicas, device: Device, links: Links
) -> dict[str, float]:
    """Return the seconds of each part of the optimizer phase on one rank.

    Gradients are reduced in their own format, weights gathered in BF16; with ZeRO-1 a
    replica updates its shard only. Adam reads the gradient, reads and writes master
    weight and both moments, and writes the BF16 weight; gradients are cleared, FP8
    copies of the weights made.
    """
    precision = scenario.precision
    gradient, moment = (
        FORMAT_BYTES[precision.gradients],
        FORMAT_BYTES[precision.moments],
    )
    is_sharded = scenario.plan.zero >= 1
    spent: dict[str, float] = {}
    shard = 0.0
    for name, count, members in (
        ("shared", own.shared, groups.shared),
        ("expert", own.experts, groups.experts),
    ):
        if is_sharded:
            spent[f"reduce-scatter of {name} gradients"] = all_gather_s(
                count * gradient, members, links
            )
            spent[f"all-gather of {name} weights"] = all_gather_s(
                count * 2, members, links
            )
        else:
            spent[f"all-reduce of {name} gradients"] = all_reduce_s(
                count * gradient, members, links
            )
        shard += count / members.size if is_sharded else count
    moved = shard * (gradient + 2 * MASTER + 4 * moment + 2)
    spent["Adam"] = moved / device.hbm_bytes_per_s
    total = own.shared + own.experts
    cast = 3 if precision.recipe == "fp8" else 0
    spent["clear and cast"] = total * (gradient + cast) / device.hbm_bytes_per_s
    return dict(spent)
