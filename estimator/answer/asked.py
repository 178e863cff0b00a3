"""What a scenario asks, in words: model, cluster, plan, phases, price."""

from __future__ import annotations

from collections.abc import Iterator

from estimator.answer.bill import RENT, basis_title
from estimator.costs.params import params
from estimator.ground.words import CLOSE, dollars, quantity, several, short
from estimator.specs.layout import EVEN
from estimator.specs.scenario import Scenario
from estimator.specs.training import GlobalBatch, Phase
from estimator.workload.stored import gradient_format

AXES = ("pp", "tp", "cp", "ep", "etp")


def question(scenario: Scenario) -> str:
    """Return in a sentence what a scenario asks, where nobody wrote it."""
    num_tokens = sum(phase.num_tokens or 0.0 for phase in scenario.phases)
    tokens, cluster = several(short(num_tokens), "token"), scenario.cluster
    return (
        f"What does training {scenario.model.title} with {tokens} take on "
        f"{cluster.num_gpus:,} x {cluster.node.gpu.title}?"
    )


def asked(scenario: Scenario) -> Iterator[tuple[str, str]]:
    """Yield each part of the question and what the scenario says there."""
    yield "model", _model(scenario)
    yield "cluster", _cluster(scenario)
    yield "plan", _plan(scenario)
    if scenario.plan.stage_layout != EVEN:
        yield "stages", scenario.plan.stage_layout
    precision, software = scenario.precision, scenario.software
    yield "software", software.title
    yield (
        "precision",
        f"{precision.recipe}; gradients {gradient_format(scenario)}, moments "
        f"{software.storage.moments}",
    )
    yield "recomputed", ", ".join(scenario.recompute) or "nothing"
    for phase in scenario.phases:
        yield f"phase {phase.name}", _phase(phase)
    yield "price", _price(scenario)


def _price(scenario: Scenario) -> str:
    price = scenario.price
    if price.usd_per_gpu_hour is None or RENT in price.changed:
        return basis_title(scenario)
    return (
        f"{basis_title(scenario)}, {dollars(price.usd_per_gpu_hour, CLOSE)} a GPU-hour"
    )


def _model(scenario: Scenario) -> str:
    count = params(scenario.model)
    words = f"{scenario.model.name}, {short(count.total)} parameters"
    if count.active != count.total:
        words += f", {short(count.active)} of them active"
    return words


def _cluster(scenario: Scenario) -> str:
    cluster = scenario.cluster
    node, fabric = cluster.node, cluster.fabric
    return (
        f"{cluster.num_gpus:,} x {node.gpu.name} in {node.name}, NVLink "
        f"{quantity(node.nvlink_bytes_per_s, 'B/s')} one way; {fabric.name}, "
        f"{quantity(fabric.bytes_per_s, 'B/s')} one way a GPU"
    )


def _plan(scenario: Scenario) -> str:
    plan = scenario.plan
    sizes = [
        f"{axis} {getattr(plan, axis)}" for axis in AXES if getattr(plan, axis) > 1
    ]
    return ", ".join(
        (
            *sizes,
            f"dp {scenario.dp}",
            f"ZeRO {plan.zero}",
            plan.schedule,
            f"micro-batches of {plan.micro_batch_size}",
        )
    )


def _phase(phase: Phase) -> str:
    batch = phase.global_batch_size
    if phase.basis == "published" or batch is None:
        return f"as published, on {phase.node}" if phase.node else "as published"
    return (
        f"{several(short(phase.num_tokens or 0), 'token')}; "
        f"{several(_batch(batch), 'sequence')} of "
        f"{several(f'{phase.seq_len:,}', 'token')} a step"
    )


def _batch(batch: GlobalBatch) -> str:
    if batch.initial == batch.final:
        return f"{batch.final:,}"
    return f"{batch.initial:,} to {batch.final:,}"
