"""What an hour costs, in dollars, joules and carbon."""

from __future__ import annotations

from typing import Literal

from estimator.specs.base import Fraction, spec
from estimator.units import GramsPerKwh, UsdPerHour


@spec
class Price:
    """A dated price of one GPU for one hour."""

    name: str
    title: str
    basis: Literal["rental"]
    usd_per_gpu_hour: UsdPerHour
    date: str
    source: str
    includes: str
    """What the price covers, in words."""
    notes: str = ""


@spec
class Power:
    """Where the cluster stands, as far as electricity goes."""

    name: str
    title: str
    pue: Fraction
    """Facility power over IT power."""
    average_power: Fraction
    """Average over maximum server power during training."""
    g_co2_per_kwh: GramsPerKwh
    source: str
    notes: str = ""
