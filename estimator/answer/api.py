"""What people call: estimate a scenario, show its step and its layers of constants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from estimator.answer.asked import question
from estimator.answer.bill import (
    NOT_COUNTED,
    basis,
    basis_title,
    bill,
    is_of_another_gpu,
    outcome,
    price_title,
)
from estimator.answer.breakdown import step_report
from estimator.answer.phases import Walk, simulated
from estimator.answer.ranges import METHOD, MONEY, combined_range, money_effects, ranges
from estimator.answer.report import Assumption, PhaseReport, Report, Step
from estimator.answer.soundness import sound
from estimator.answer.splits import splits
from estimator.answer.step_model import StepModel, TracedStep
from estimator.answer.track_record import track_record
from estimator.answer.training import memory_report, relative_range
from estimator.catalog import loading
from estimator.costs.rates import Layer, half_precision
from estimator.costs.training_compute import standings
from estimator.engine.step import StepTrace
from estimator.ground.documents import Asked
from estimator.ground.units import HOUR_S
from estimator.specs.base import SET_BY_USER, constants, source_of, status_of
from estimator.specs.hardware import Fabric, Gpu, Node
from estimator.specs.scenario import Scenario
from estimator.specs.training import Phase


@dataclass
class _Reported(Walk):
    """Phases as they are reported, with the step of the first that is simulated."""

    is_played: bool = True
    steps: list[Step] = field(default_factory=list)
    known_s: dict[tuple[int, int], float] = field(default_factory=dict)
    """Seconds of a step by sequence length and batch: phases may share them."""
    said: list[str] = field(default_factory=list)
    """How published hours were carried over to the scenario's GPU."""

    def phases(self) -> Iterator[PhaseReport]:
        """Yield each phase: simulated, or its published GPU-hours; not its bill."""
        for phase in self.scenario.phases:
            if phase.basis == "published":
                self.said.extend(filter(None, [self.published.said(phase)]))
                if self.published.hours(phase) is None:
                    continue
            yield self.phase(phase)

    def phase(self, phase: Phase) -> PhaseReport:
        """Return one phase."""
        spent = self.spent(phase, self._step_s)
        is_simulated = phase.basis == "simulated"
        return PhaseReport(
            name=phase.name,
            basis=phase.basis,
            gpu_hours=spent.gpu_hours,
            cost_usd=0.0,
            num_tokens=phase.num_tokens or 0.0,
            num_steps=round(spent.num_steps),
            step_s=spent.step_s,
            wall_s=spent.wall_s,
            source="" if is_simulated else phase.source,
            model_flop=self._flop(phase) if is_simulated else 0.0,
            scaled_from="" if is_simulated else self.published.scaled_from(phase),
        )

    def _flop(self, phase: Phase) -> float:
        """Return the model FLOP of a simulated phase."""
        return self.model(phase).flop_per_token() * (phase.num_tokens or 0.0)

    def _step_s(self, model: StepModel, global_batch: int) -> float:
        key = model.seq_len, global_batch
        if not self.steps:
            step = step_report(model, global_batch, is_played=self.is_played)
            self.steps.append(step)
            self.known_s[key] = step.step_s
        elif key not in self.known_s:
            self.known_s[key] = model.step_s(model.num_microbatches(global_batch))
        return self.known_s[key]


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
        Have SimPy play the step; else its times come from the graph's clock, the same
        within rounding and five times as fast.

    Raises
    ------
    InputError
        If there is no such scenario, or something in it is wrong.
    InfeasibleError
        If the parts of the scenario do not fit together.
    """
    scenario = loading.load_scenario(scenario, overrides)
    run = _Reported(scenario, is_played=is_played)
    phases = tuple(run.phases())
    _, _, batch = simulated(scenario.main_phase)
    model = run.model(scenario.main_phase)
    hours = sum(phase.gpu_hours for phase in phases)
    derived = sum(phase.gpu_hours for phase in phases if phase.follows_step)
    effects: dict[str, tuple[float, float]] = {}
    if has_range:
        effects = relative_range(model, model.num_microbatches(batch.final))
    factors = combined_range(effects)
    low, high = (hours + derived * (factor - 1) for factor in factors)
    made = outcome(scenario, hours)
    money = money_effects(scenario, hours)
    total_flop = sum(phase.model_flop for phase in phases)
    report = Report(
        scenario=scenario.name,
        question=scenario.question or question(scenario),
        gpu=scenario.cluster.node.gpu.name,
        num_gpus=scenario.cluster.num_gpus,
        gpu_hours=hours,
        wall_s=hours / scenario.cluster.num_gpus * HOUR_S,
        cost_usd=made["cost_usd"],
        cost=bill(scenario, hours),
        cost_basis=basis(scenario),
        cost_basis_title=basis_title(scenario),
        price_title=price_title(scenario),
        energy_joules=made["energy_joules"],
        co2_kg=made["co2_kg"],
        phases=billed(phases, made["cost_usd"]),
        step=run.steps[0],
        memory=memory_report(model, batch.final),
        assumptions=tuple(assumptions(scenario, run.models, effects, money["cost_usd"]))
        + tuple(_assumed("phases", said, "estimator") for said in run.said),
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
    return sound(scenario.name, report)


def layers(scenario: Scenario) -> dict[str, float]:
    """Return the step's seconds as the three layers of constants are added."""
    seq_len, _, batch = simulated(scenario.main_phase)
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
    seq_len, _, batch = simulated(scenario.main_phase)
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
            _assumed("scenario", said.text, scenario.name)
            for said in scenario.assumptions
        ),
        *_format_assumptions(scenario),
        *_price_assumptions(scenario),
        *(
            Assumption("phases", text, "", "estimator", "scenario", status=status)
            for text, status in splits(scenario, models)
        ),
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
            if dtype in (half_precision(gpu), scenario.precision.recipe)
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


def _format_assumptions(scenario: Scenario) -> Iterator[Assumption]:
    """Yield which format stands in for BF16 where the GPU has none."""
    gpu = scenario.cluster.node.gpu
    dtype = half_precision(gpu)
    if dtype != "bf16":
        text = f"{gpu.title} has no BF16: products run in {dtype.upper()}"
        yield _assumed("precision", text, gpu.name)


def _price_assumptions(scenario: Scenario) -> Iterator[Assumption]:
    """Yield how a price came to be taken for a GPU that it was not made for."""
    price, gpu = scenario.price, scenario.cluster.node.gpu.name
    text = ""
    if is_of_another_gpu(scenario):
        text = f"the price {price.name} is one of {price.gpu}, taken for {gpu}"
    elif price.instead_of and not price.changed:
        text = (
            f"the price {price.name} is {gpu}'s own; the scenario's "
            f"{price.instead_of} is not of this GPU"
        )
    if text:
        yield _assumed("price", text, price.name)


def _assumed(name: str, text: str, source: str) -> Assumption:
    """Return a statement that the answer rests on."""
    return Assumption(name, text, "", source, "scenario", status="assumed")
