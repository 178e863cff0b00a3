"""What people call: estimate a scenario, show its step and its layers of constants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from estimator import catalog
from estimator.bill import (
    NOT_COUNTED,
    basis,
    basis_title,
    bill,
    compute_usd,
    outcome,
    total,
)
from estimator.breakdown import step_report
from estimator.costs.rates import Layer
from estimator.costs.training_compute import standings
from estimator.engine.step import StepTrace
from estimator.errors import InputError
from estimator.ranges import METHOD, MONEY, combined_range, money_effects, ranges
from estimator.report import (
    Assumption,
    PhaseReport,
    Report,
    Step,
    gpu_hours,
)
from estimator.specs.base import SET_BY_USER, constants, source_of, status_of
from estimator.specs.hardware import Fabric, Gpu, Node
from estimator.specs.scenario import Scenario
from estimator.specs.training import GlobalBatch, Phase
from estimator.step_model import StepModel, TracedStep
from estimator.track_record import track_record
from estimator.training import (
    memory_report,
    phase_time,
    relative_range,
)
from estimator.units import HOUR_S


@dataclass
class _Run:
    """A scenario's phases, one after the other; step models are shared."""

    scenario: Scenario
    is_played: bool = True
    models: dict[int, StepModel] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)

    def model(self, seq_len: int) -> StepModel:
        """Return the step model of a sequence length."""
        if seq_len not in self.models:
            self.models[seq_len] = StepModel(self.scenario, seq_len)
        return self.models[seq_len]

    def phase(self, phase: Phase) -> PhaseReport:
        """Return one phase: simulated, or its published GPU-hours."""
        scenario = self.scenario
        num_gpus = scenario.cluster.num_gpus
        if phase.basis == "published":
            hours = phase.gpu_hours or 0.0
            return PhaseReport(
                name=phase.name,
                basis=phase.basis,
                gpu_hours=hours,
                cost_usd=total(compute_usd(scenario, hours)),
                wall_s=hours / num_gpus * HOUR_S,
                source=phase.source,
            )
        seq_len, num_tokens, batch = simulated(phase)
        model = self.model(seq_len)
        step = step_report(model, batch.final, is_played=self.is_played)
        self.steps.append(step)
        wall_s, num_steps = phase_time(model, batch, num_tokens, step.step_s)
        hours = gpu_hours(wall_s, num_gpus)
        return PhaseReport(
            name=phase.name,
            basis=phase.basis,
            gpu_hours=hours,
            cost_usd=total(compute_usd(scenario, hours)),
            num_tokens=num_tokens,
            num_steps=round(num_steps),
            step_s=step.step_s,
            wall_s=wall_s,
            model_flop=step.flop_per_token * num_tokens,
        )


def simulated(phase: Phase) -> tuple[int, float, GlobalBatch]:
    """Return sequence length, tokens and batch of a simulated phase."""
    if phase.seq_len is None or phase.num_tokens is None:
        raise ValueError(f"the phase {phase.name!r} is not simulated")
    if phase.global_batch_size is None:
        raise ValueError(f"the phase {phase.name!r} has no batch")
    return phase.seq_len, phase.num_tokens, phase.global_batch_size


def main_phase(scenario: Scenario) -> Phase:
    """Return the first simulated phase: the one whose step is shown."""
    return next(phase for phase in scenario.phases if phase.basis == "simulated")


def estimate(
    scenario: str | Scenario,
    overrides: Sequence[str] = (),
    *,
    has_range: bool = True,
    is_played: bool = True,
) -> Report:
    """Return GPU-hours, wall time, dollars and the step of a scenario.

    Parameters
    ----------
    scenario : str or Scenario
        A built-in name, a variant, a file, or a resolved scenario.
    overrides : sequence of str
        ``PATH=VALUE`` patches of a name or a file.
    has_range : bool
        Also vary every sourced constant between its low and its high end.
    is_played : bool
        Have SimPy play the step; else its times come from the graph's clock, the same
        within rounding and five times as fast.

    Raises
    ------
    InputError
        If there is no such scenario, or something in it is wrong.
    InfeasibleError
        If the parts of the scenario do not fit together.
    """
    if isinstance(scenario, str):
        scenario = catalog.load_scenario(scenario, overrides)
    elif overrides:
        raise InputError("a resolved scenario takes no overrides", fix="its name")
    run = _Run(scenario, is_played=is_played)
    phases = tuple(run.phase(phase) for phase in scenario.phases)
    seq_len, _, batch = simulated(main_phase(scenario))
    model = run.model(seq_len)
    hours = sum(phase.gpu_hours for phase in phases)
    derived = sum(phase.gpu_hours for phase in phases if phase.basis == "simulated")
    effects: dict[str, tuple[float, float]] = {}
    if has_range:
        effects = relative_range(model, model.num_microbatches(batch.final))
    factors = combined_range(effects)
    low, high = (hours + derived * (factor - 1) for factor in factors)
    made = outcome(scenario, hours)
    money = money_effects(scenario, hours)
    total_flop = sum(phase.model_flop for phase in phases)
    return Report(
        scenario=scenario.name,
        question=scenario.question,
        gpu=scenario.cluster.node.gpu.name,
        num_gpus=scenario.cluster.num_gpus,
        gpu_hours=hours,
        wall_s=hours / scenario.cluster.num_gpus * HOUR_S,
        cost_usd=made["cost_usd"],
        cost=bill(scenario, hours),
        cost_basis=basis(scenario),
        cost_basis_title=basis_title(scenario),
        energy_joules=made["energy_joules"],
        co2_kg=made["co2_kg"],
        phases=phases,
        step=run.steps[0],
        memory=memory_report(model, batch.final),
        assumptions=tuple(
            assumptions(scenario, run.models, effects, money["cost_usd"])
        ),
        not_counted=NOT_COUNTED[basis(scenario)],
        range=ranges(scenario, hours, (low, high), money),
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


def layers(scenario: Scenario) -> dict[str, float]:
    """Return the step's seconds as the three layers of constants are added."""
    seq_len, _, batch = simulated(main_phase(scenario))
    model = StepModel(scenario, seq_len)
    count = model.num_microbatches(batch.final)
    return {layer.value: model.step_s(count, layer) for layer in Layer}


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
    seq_len, _, batch = simulated(main_phase(scenario))
    model = StepModel(scenario, seq_len)
    return model, model.scheduled(model.num_microbatches(batch.final))


def assumptions(
    scenario: Scenario,
    models: dict[int, StepModel],
    effects: Mapping[str, tuple[float, float]],
    cost_effects: Mapping[str, tuple[float, float]],
) -> list[Assumption]:
    """Return every number and statement that the estimate rests on."""
    return [
        *_specification(scenario),
        *(
            Assumption(
                name=path,
                value=constant.value,
                unit=constant.unit,
                source=constant.source,
                layer=_layer(path),
                low=constant.low,
                high=constant.high,
                status=constant.status,
                step_effect=effects.get(path),
                cost_effect=cost_effects.get(path),
            )
            for path, constant in constants(scenario)
        ),
        *(
            Assumption(
                "scenario", text, "", scenario.name, "scenario", status="assumed"
            )
            for text in scenario.assumptions
        ),
        *_price_assumptions(scenario),
        *_batch_assumptions(scenario, models),
    ]


def _specification(scenario: Scenario) -> list[Assumption]:
    node, fabric = scenario.cluster.node, scenario.cluster.fabric
    gpu = node.gpu
    rows: list[tuple[str, float, str, Gpu | Node | Fabric]] = [
        ("cluster.node.gpu.hbm_bytes", gpu.hbm_bytes, "B", gpu),
        ("cluster.node.gpu.hbm_bytes_per_s", gpu.hbm_bytes_per_s, "B/s", gpu),
        *(
            (f"cluster.node.gpu.peak_flop_per_s.{dtype}", peak, "FLOP/s", gpu)
            for dtype, peak in gpu.peak_flop_per_s.items()
            if dtype in ("bf16", scenario.precision.recipe)
        ),
        ("cluster.node.nvlink_bytes_per_s", node.nvlink_bytes_per_s, "B/s", node),
        ("cluster.node.max_power_watts", node.max_power_watts, "W", node),
        ("cluster.fabric.bytes_per_s", fabric.bytes_per_s, "B/s", fabric),
        ("cluster.fabric.latency_s", fabric.latency_s, "s", fabric),
    ]
    made = []
    for path, value, unit, record in rows:
        kind = "peak_flop_per_s."
        key = path.rpartition(".")[2]
        if kind in path:
            key = kind + key
        source = source_of(record, key)
        status = _status(source)
        if status == "read":
            status = status_of(record, key)
        made.append(
            Assumption(path, value, unit, source, "specification", status=status)
        )
    return [*made, *_prices(scenario)]


def _prices(scenario: Scenario) -> Iterator[Assumption]:
    """Yield what money and carbon are worth; constants stand elsewhere."""
    price, power = scenario.price, scenario.power
    if price.usd_per_gpu_hour is not None:
        yield Assumption(
            "price.usd_per_gpu_hour",
            price.usd_per_gpu_hour,
            "USD/h",
            f"{price.source} ({price.date})",
            "price",
            status=_status(price.source, price.status),
        )
    elif power.usd_per_kwh is not None:
        yield Assumption(
            "power.usd_per_kwh",
            power.usd_per_kwh,
            "USD/kWh",
            f"{power.electricity_source} ({power.electricity_date})",
            "price",
            status=_status(power.electricity_source, power.electricity_status),
        )
    yield Assumption(
        "power.g_co2_per_kwh",
        power.g_co2_per_kwh,
        "g/kWh",
        power.source,
        "price",
        status=_status(power.source, power.status),
    )


def _layer(path: str) -> str:
    """Return the layer of constants that a path belongs to."""
    if path.partition(".")[0] in MONEY:
        return "price"
    return "in-situ" if ".in_situ." in path else "achievable"


def _status(source: str, known: str = "read") -> str:
    return "set" if SET_BY_USER in source else known


def _price_assumptions(scenario: Scenario) -> Iterator[Assumption]:
    """Yield that a price is taken for another GPU than the one it is of."""
    price, gpu = scenario.price, scenario.cluster.node.gpu.name
    if price.gpu and price.gpu != gpu:
        text = f"the price {price.name} is one of {price.gpu}, taken for {gpu}"
        yield Assumption("price", text, "", price.name, "scenario", status="assumed")


def _batch_assumptions(
    scenario: Scenario, models: dict[int, StepModel]
) -> list[Assumption]:
    """Return what is assumed where a batch is too small or does not split evenly."""
    made = []
    for phase in scenario.phases:
        if phase.basis != "simulated":
            continue
        seq_len, _, batch = simulated(phase)
        model, replica = models[seq_len], scenario.plan.micro_batch_size * scenario.dp
        smallest = model.num_microbatches(batch.initial)
        floor = model.scheduled(smallest)
        if floor > smallest:
            text = (
                f"{scenario.plan.schedule} on {scenario.plan.pp} ranks runs at least "
                f"{floor} micro-batches: a {phase.name} step with fewer lasts as long"
            )
            made.append(
                Assumption(
                    "phases", text, "", "estimator", "scenario", status="assumed"
                )
            )
        if len(model.simulated(model.num_microbatches(batch.final))) > 1:
            text = (
                f"a {phase.name} step has {model.num_microbatches(batch.final):,} "
                "micro-batches: extrapolated linearly from two shorter ones"
            )
            made.append(
                Assumption(
                    "phases", text, "", "estimator", "scenario", status="extrapolated"
                )
            )
        if batch.final % replica:
            text = (
                f"{batch.final} sequences do not split evenly over {scenario.dp} "
                f"replicas of {scenario.plan.micro_batch_size}: the fullest one counts"
            )
            made.append(
                Assumption(
                    "phases", text, "", "estimator", "scenario", status="assumed"
                )
            )
    return made
