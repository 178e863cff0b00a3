"""How sure an estimate is, from the sourced range of every constant.

Each constant is drawn on its own from a triangle over its range with the mode at its
value: sources give a likeliest number and two ends, and no more is assumed. Rates that
are varied together are evaluated together.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from estimator.answer.bill import basis_title
from estimator.answer.in_lanes import answers, at_ends
from estimator.catalog import loading
from estimator.catalog.published import as_written
from estimator.ground.documents import Asked
from estimator.ground.errors import InfeasibleError, InputError
from estimator.ground.lanes import Floats
from estimator.specs.base import Constant, constants
from estimator.specs.scenario import Scenario

QUANTITIES = ("gpu_hours", "cost_usd", "wall_s", "step_s")
PERCENTILES = {"p10": 10, "p50": 50, "p90": 90}
MAX_SAMPLES = 1_000_000
SOBOL_SAMPLES = 256
"""Base sample of the Sobol indices, a power of two: so many evaluations for each
constant, and twice as many."""
NEGLIGIBLE = 1e-9


@dataclass(frozen=True)
class Distribution:
    """A quantity's distribution, and its value with every constant at its own."""

    value: float
    p10: float
    p50: float
    p90: float


@dataclass(frozen=True)
class Swing:
    """What one constant alone does between its ends, all others at their values.

    Constants of prices and programmes move dollars and no GPU-hour.
    """

    input: str
    low: float
    value: float
    high: float
    unit: str
    source: str
    gpu_hours: tuple[float, float]
    """At the low and at the high end of the constant."""
    cost_usd: tuple[float, float]

    @property
    def width(self) -> float:
        """Dollars between both ends."""
        return _width(self.cost_usd)


@dataclass(frozen=True)
class SobolIndex:
    """The share of the variance of the cost that one constant explains."""

    input: str
    first: float
    """Alone."""
    total: float
    """With all its interactions."""
    first_confidence: float
    """Half-width of the 95 % interval."""
    total_confidence: float


@dataclass(frozen=True)
class Uncertainty:
    """The distribution of an estimate, and what it comes from."""

    scenario: str
    cost_basis: str
    """In words."""
    num_samples: int
    seed: int
    spreads: dict[str, Distribution]
    tornado: tuple[Swing, ...]
    """From the widest to the narrowest."""
    sobol: tuple[SobolIndex, ...] | None
    """None where SALib is not installed."""
    draws: dict[str, Floats]
    """Each quantity in every sample."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values without the draws, ready for JSON."""
        return {
            "scenario": self.scenario,
            "cost_basis": self.cost_basis,
            "num_samples": self.num_samples,
            "seed": self.seed,
            "distribution": "triangular, mode at the value, constants independent",
            **{name: asdict(spread) for name, spread in self.spreads.items()},
            "tornado": [asdict(swing) for swing in self.tornado],
            "sobol": None
            if self.sobol is None
            else [asdict(index) for index in self.sobol],
        }


def uncertainty(
    scenario: loading.Named | Scenario,
    overrides: Asked = (),
    *,
    num_samples: int = 2000,
    seed: int = 0,
) -> Uncertainty:
    """Return the distribution of a scenario's GPU-hours and dollars.

    Parameters
    ----------
    scenario : str, path, mapping or Scenario
        A built-in name, a variant, a file, what a file would hold, or one resolved.
    num_samples : int
        Draws of the Monte Carlo method.
    seed : int
        The same seed gives the same draws.

    Raises
    ------
    InputError
        If the number of samples is out of range.
    InfeasibleError
        If the scenario's parts do not fit together, or no constant has a range.
    """
    if not 2 <= num_samples <= MAX_SAMPLES:
        raise InputError(f"samples are 2 to {MAX_SAMPLES:,}, not {num_samples:,}")
    if seed < 0:
        raise InputError(f"a seed is not negative, got {seed}")
    scenario = as_written(loading.load_scenario(scenario, overrides))
    varied = {
        path: constant
        for path, constant in constants(scenario)
        if constant.low < constant.high
    }
    if not varied:
        raise InfeasibleError("no constant of this scenario has a range")
    value = answers(scenario, {}, 1)
    tornado = _tornado(scenario, varied)
    matter = {
        swing.input: varied[swing.input]
        for swing in tornado
        if _moves(swing.gpu_hours, value["gpu_hours"])
        or _moves(swing.cost_usd, value["cost_usd"])
    }
    rng = np.random.default_rng(seed)
    drawn = _drawn(matter, rng.random((num_samples, len(matter))))
    draws = answers(scenario, drawn, num_samples)
    return Uncertainty(
        scenario=scenario.name,
        cost_basis=basis_title(scenario),
        num_samples=num_samples,
        seed=seed,
        spreads={
            name: Distribution(float(value[name][0]), *_percentiles(draws[name]))
            for name in QUANTITIES
        },
        tornado=tuple(swing for swing in tornado if swing.input in matter),
        sobol=_sobol(scenario, matter, seed) if find_spec("SALib") else None,
        draws={name: draws[name] for name in QUANTITIES},
    )


def triangular(constant: Constant, share: Floats) -> Floats:
    """Return the quantiles of a triangle over a constant's range.

    >>> made = Constant(value=1.0, low=0.0, high=2.0, unit="s", source="an example")
    >>> triangular(made, np.array([0.0, 0.5, 1.0])).tolist()
    [0.0, 1.0, 2.0]
    """
    low, mode, high = constant.low, constant.value, constant.high
    below = share * (high - low) * (mode - low)
    above = (1 - share) * (high - low) * (high - mode)
    is_below = share < (mode - low) / (high - low)
    return np.where(is_below, low + np.sqrt(below), high - np.sqrt(above))


def _drawn(varied: dict[str, Constant], shares: Floats) -> dict[str, Floats]:
    return {
        path: triangular(constant, shares[:, column])
        for column, (path, constant) in enumerate(varied.items())
    }


def _percentiles(values: Floats) -> list[float]:
    return [float(item) for item in np.percentile(values, list(PERCENTILES.values()))]


def _moves(ends: tuple[float, float], value: Floats) -> bool:
    base = float(value[0])
    return max(abs(end - base) for end in ends) > NEGLIGIBLE * base


def _tornado(scenario: Scenario, varied: dict[str, Constant]) -> list[Swing]:
    """Return each constant's swing; two lanes belong to each."""
    made = answers(scenario, at_ends(varied, num_before=0), 2 * len(varied))
    swings = [
        Swing(
            input=path,
            low=constant.low,
            value=constant.value,
            high=constant.high,
            unit=constant.unit,
            source=constant.source,
            gpu_hours=_pair(made["gpu_hours"], index),
            cost_usd=_pair(made["cost_usd"], index),
        )
        for index, (path, constant) in enumerate(varied.items())
    ]
    return sorted(swings, key=lambda swing: (-swing.width, -_width(swing.gpu_hours)))


def _width(ends: tuple[float, float]) -> float:
    return abs(ends[1] - ends[0])


def _pair(values: Floats, index: int) -> tuple[float, float]:
    return float(values[2 * index]), float(values[2 * index + 1])


def _sobol(
    scenario: Scenario, varied: dict[str, Constant], seed: int
) -> tuple[SobolIndex, ...]:
    """Return Sobol indices from Saltelli's design, largest total first."""
    if not varied:
        return ()
    from SALib.analyze import sobol as analysis
    from SALib.sample import sobol as design

    problem = {
        "num_vars": len(varied),
        "names": list(varied),
        "bounds": [[0.0, 1.0]] * len(varied),
    }
    shares = design.sample(problem, SOBOL_SAMPLES, calc_second_order=False, seed=seed)
    dollars = answers(scenario, _drawn(varied, shares), len(shares))["cost_usd"]
    if not np.ptp(dollars):
        return ()
    rng = np.random.default_rng(seed)  # a seed of 0 would be taken for none
    made = analysis.analyze(problem, dollars, calc_second_order=False, seed=rng)
    columns = (made[name].tolist() for name in ("S1", "ST", "S1_conf", "ST_conf"))
    indices = [SobolIndex(*row) for row in zip(varied, *columns, strict=True)]
    return tuple(sorted(indices, key=lambda index: -index.total))
