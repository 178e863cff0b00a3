"""What an hour costs, in dollars, joules and carbon."""

from __future__ import annotations

from typing import Literal

from estimator.specs.base import Fraction, spec
from estimator.units import GramsPerKwh, UsdPerHour, UsdPerKwh

Known = Literal["read", "derived", "recalled", "assumed", "disputed"]


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
    gpu: str = ""
    """The GPU that it buys, by name."""
    provider: str = ""
    commitment: Literal[
        "", "on demand", "1 year", "3 years", "spot", "index", "assumption"
    ] = ""
    status: Known = "read"
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
    """Of the carbon intensity."""
    date: str = ""
    """Of the carbon intensity."""
    status: Known = "read"
    usd_per_kwh: UsdPerKwh | None = None
    """What a large customer pays; None where no price was read."""
    electricity_source: str = ""
    electricity_date: str = ""
    electricity_status: Known = "read"
    notes: str = ""
