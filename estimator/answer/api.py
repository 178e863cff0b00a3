"""What people call: estimate a scenario, show its step and its layers of constants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from estimator.answer.asked import question
from estimator.answer.assumptions import assumed, assumptions
from estimator.answer.bill import NOT_COUNTED, basis, basis_title, price_title
from estimator.answer.breakdown import step_report
from estimator.answer.ranges import METHOD, Ends, combined_range, money, step_effects
from estimator.answer.report import Assumption, PhaseReport, Report
from estimator.answer.soundness import sound
from estimator.answer.step_model import StepModel, TracedStep
from estimator.answer.track_record import track_record
from estimator.answer.training import memory_report
from estimator.answer.walk import Spent, Walk
from estimator.catalog import loading
from estimator.costs.rates import Layer
from estimator.costs.training_compute import standings
from estimator.engine.step import StepTrace
from estimator.ground.documents import Asked
from estimator.specs.scenario import Scenario
from estimator.specs.training import Phase


def phase_report(walk: Walk, phase: Phase, spent: Spent) -> PhaseReport:
    """Return one phase of a walk: simulated, or its published GPU-hours; unpaid."""
    is_simulated = phase.basis == "simulated"
    num_tokens = phase.num_tokens or 0.0
    return PhaseReport(
        name=phase.name,
        basis=phase.basis,
        gpu_hours=spent.gpu_hours,
        cost_usd=0.0,
        num_tokens=num_tokens,
        num_steps=round(spent.num_steps),
        step_s=spent.step_s,
        wall_s=spent.wall_s,
        source="" if is_simulated else phase.source,
        model_flop=walk.model(phase).flop_per_token() * num_tokens
        if is_simulated
        else 0.0,
        scaled_from="" if is_simulated else walk.published.scaled_from(phase),
    )


def phase_reports(walk: Walk) -> tuple[PhaseReport, ...]:
    """Return the phases of a walk, without those whose hours are not known here."""
    return tuple(
        phase_report(walk, phase, spent)
        for phase, spent in zip(walk.scenario.phases, walk.phases, strict=True)
        if phase.basis != "published" or walk.published.hours(phase) is not None
    )


def _carried_over(walk: Walk) -> list[Assumption]:
    """Return how published hours were carried over to the scenario's GPU."""
    found = [phase for phase in walk.scenario.phases if phase.basis == "published"]
    return [
        assumed("phases", said, "estimator")
        for said in map(walk.published.said, found)
        if said
    ]


def billed(phases: Sequence[PhaseReport], cost_usd: float) -> tuple[PhaseReport, ...]:
    """Return phases with their shares of the whole bill, by GPU-hours."""
    hours = sum(phase.gpu_hours for phase in phases)
    return tuple(
        replace(phase, cost_usd=cost_usd * phase.gpu_hours / hours) for phase in phases
    )


def estimate(
    scenario: loading.Named | Scenario,
    overrides: Asked = (),
    *,
    has_range: bool = True,
    is_played: bool = True,
) -> Report:
    """Return GPU-hours, wall time, dollars and the step of a scenario.

    Parameters
    ----------
    scenario : str, path, mapping or Scenario
        A built-in name, a variant, a file, what a file would hold, or one resolved.
    overrides : str, sequence of str or mapping
        ``PATH=VALUE`` patches of a name or a file.
    has_range : bool
        Also vary every sourced constant between its low and its high end.
    is_played : bool
        Have SimPy play what each rank does; else it is counted, the same within
        rounding and faster.

    Raises
    ------
    InputError
        If there is no such scenario, or something in it is wrong.
    InfeasibleError
        If the parts of the scenario do not fit together.
    """
    scenario = loading.load_scenario(scenario, overrides)
    walk = Walk(scenario)
    phases, (model, batch) = phase_reports(walk), walk.main
    memory = memory_report(model, batch)
    walk.peak_bytes = memory.peak_bytes
    answer, paid = walk.answer(), walk.outcome
    effects: dict[str, Ends] = {}
    if has_range:
        effects = step_effects(model, model.num_microbatches(batch))
    derived = sum(phase.gpu_hours for phase in phases if phase.follows_step)
    low, high = (
        answer.gpu_hours + derived * (factor - 1) for factor in combined_range(effects)
    )
    moved = money(scenario, answer.gpu_hours, (low, high))
    total_flop = sum(phase.model_flop for phase in phases)
    report = Report(
        scenario=scenario.name,
        question=scenario.question or question(scenario),
        gpu=scenario.cluster.node.gpu.name,
        num_gpus=scenario.cluster.num_gpus,
        software=scenario.software.name,
        software_title=scenario.software.title,
        gpu_hours=answer.gpu_hours,
        wall_s=answer.wall_s,
        cost_usd=answer.cost_usd,
        cost=paid.cost,
        cost_basis=basis(scenario),
        cost_basis_title=basis_title(scenario),
        price_title=price_title(scenario),
        energy_joules=paid.energy_joules,
        co2_kg=paid.co2_kg,
        phases=billed(phases, answer.cost_usd),
        step=step_report(model, batch, answer.step_s, is_played=is_played),
        memory=memory,
        assumptions=(
            *assumptions(scenario, walk.models, effects, moved.effects["cost_usd"]),
            *_carried_over(walk),
        ),
        not_counted=NOT_COUNTED[basis(scenario)],
        range={"gpu_hours": (low, high), **moved.ranges},
        range_method=METHOD,
        total_flop=total_flop,
        flop_thresholds=standings(total_flop),
        flop_not_counted=tuple(
            phase.name for phase in phases if phase.basis == "published"
        ),
        track_record=track_record(
            scenario.cluster.node.gpu, "moe" if scenario.model.moe else "dense"
        ),
    )
    return sound(scenario.name, report)


def layers(scenario: Scenario) -> dict[str, float]:
    """Return the step's seconds as the three layers of constants are added."""
    walk = Walk(scenario)
    return {layer.value: walk.step_s(scenario.main_phase, layer) for layer in Layer}


def trace(scenario: Scenario) -> StepTrace:
    """Return what happens when in one step of the main phase, as SimPy plays it."""
    model, num_microbatches = _main_step(scenario)
    return model.simulate(num_microbatches)


def traced_step(scenario: Scenario) -> TracedStep:
    """Return one step of the main phase operation by operation, optimizer included.

    Raises
    ------
    InfeasibleError
        If the parts of the scenario do not fit together, or the step is too long.
    """
    model, num_microbatches = _main_step(scenario)
    return model.traced(num_microbatches)


def check_traced(scenario: Scenario) -> None:
    """Raise unless a step is short enough for :func:`traced_step`; cheap.

    Raises
    ------
    InfeasibleError
        If the parts of the scenario do not fit together, or the step is too long.
    """
    model, num_microbatches = _main_step(scenario)
    model.check_traced(num_microbatches)


def _main_step(scenario: Scenario) -> tuple[StepModel, int]:
    """Return the model of the main phase, and the micro-batches that a step runs."""
    model, batch = Walk(scenario).main
    return model, model.scheduled(model.num_microbatches(batch))
