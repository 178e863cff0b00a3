"""In words: what is assumed where batches or layers do not split evenly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from estimator.answer.step_model import StepModel
from estimator.ground.words import several
from estimator.specs.layout import EVEN
from estimator.specs.scenario import Scenario
from estimator.specs.training import GlobalBatch, Phase


def splits(
    scenario: Scenario, models: Mapping[int, StepModel]
) -> Iterator[tuple[str, str]]:
    """Yield statements about the simulated phases, and the status of each.

    Parameters
    ----------
    models : mapping of int to StepModel
        Sequence length -> the model of its step.
    """
    for phase in scenario.phases:
        if phase.basis == "simulated" and phase.seq_len and phase.global_batch_size:
            model = models[phase.seq_len]
            yield from _steps(phase, phase.global_batch_size)
            yield from _micro_batches(phase.name, phase.global_batch_size, model)
            yield from _replicas(phase.name, phase.global_batch_size, scenario)
    if models:
        yield from _layers(scenario, next(iter(models.values())).played().num_stages)


def _steps(phase: Phase, batch: GlobalBatch) -> Iterator[tuple[str, str]]:
    num_tokens, first = phase.num_tokens or 0.0, batch.initial * (phase.seq_len or 0)
    if num_tokens < first:
        yield (
            f"a {phase.name} step takes {first:,} tokens, and there are "
            f"{num_tokens:,.0f}: a whole step is counted",
            "assumed",
        )


def _micro_batches(
    phase: str, batch: GlobalBatch, model: StepModel
) -> Iterator[tuple[str, str]]:
    plan, smallest = model.scenario.plan, model.num_microbatches(batch.initial)
    count, floor = model.num_microbatches(batch.final), model.scheduled(smallest)
    if floor > smallest:
        yield (
            f"{plan.schedule} on {several(str(plan.pp), 'rank')} runs at least "
            f"{several(str(floor), 'micro-batch')}: a {phase} step with fewer lasts "
            "as long",
            "assumed",
        )
    if len(model.simulated(count)) > 1:
        yield (
            f"a {phase} step has {count:,} micro-batches: extrapolated linearly "
            "from two shorter ones",
            "extrapolated",
        )
    if group := model.group(model.scheduled(count)):
        yield (
            f"{count} micro-batches on {plan.pp} ranks go in groups of {group} "
            "(Megatron-LM's --microbatch-group-size-per-virtual-pipeline-stage)",
            "assumed",
        )


def _replicas(
    phase: str, batch: GlobalBatch, scenario: Scenario
) -> Iterator[tuple[str, str]]:
    plan, dp = scenario.plan, scenario.dp
    each = f"{dp} replicas of {plan.micro_batch_size}"
    if batch.final % (plan.micro_batch_size * dp):
        yield (
            f"a batch of {batch.final} does not split evenly over {each}: "
            "the fullest one counts",
            "assumed",
        )
    elif batch.initial % (plan.micro_batch_size * dp):
        yield (
            f"{phase} starts with a batch of {batch.initial}, which does not split "
            f"evenly over {each}: the batch grows through sizes that do",
            "assumed",
        )


def _layers(scenario: Scenario, num_stages: int) -> Iterator[tuple[str, str]]:
    num_layers = scenario.model.num_layers
    if scenario.plan.stage_layout == EVEN and num_layers % num_stages:
        yield (
            f"{num_layers} layers on {num_stages} stages, as evenly as they go: "
            "Megatron-LM wants a layout for that",
            "assumed",
        )
