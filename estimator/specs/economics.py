"""What a GPU-hour and a whole programme cost, in dollars, joules and carbon."""

from __future__ import annotations

from typing import Annotated, Literal

from estimator.ground.units import GramsPerKwh, UsdPerHour, UsdPerKwh
from estimator.specs.base import (
    Constant,
    ConstantOf,
    Fraction,
    Line,
    PureNumber,
    Share,
    spec,
)

Known = Literal["read", "derived", "recalled", "assumed", "disputed"]

Sum = Annotated[Constant, ConstantOf("USD")]
PerYear = Annotated[Constant, ConstantOf("USD/year")]
Rent = Annotated[Constant, ConstantOf("USD/kW/month")]
Transfer = Annotated[Constant, ConstantOf("USD/GB")]
Multiple = Annotated[Constant, ConstantOf("1", least=1.0, most=1e4, noun="a multiple")]
"""Of a part: at least the part itself."""
Pue = Annotated[Constant, ConstantOf("1", least=1.0, most=10.0, noun="a PUE")]
Storage = Annotated[Constant, ConstantOf("USD/GB/month")]


@spec
class Ownership:
    """What the owner of a cluster pays; energy comes from the scenario's ``power``."""

    server_usd: Sum
    """A GPU's share of its server, as bought, GPU included."""
    server_per_gpu: Multiple
    """Price of that share over the price of the GPU alone."""
    network_share: Fraction
    """Network between servers, over the cost of servers and network together."""
    third_layer: PureNumber
    """A network of three layers of switches over one of two, per endpoint."""
    amortised_per_year: Fraction
    """What a year takes of the value that hardware has when it starts."""
    years_before: PureNumber
    """From purchase to the start of training, in years: value is lost before, too."""
    utilisation: Share
    """Hours in use over hours owned."""
    colocation: Rent
    """Rent of space, power distribution and cooling, by the server's maximum power;
    electricity apart."""


@spec
class Price:
    """A dated price of one GPU for one hour: rented, or owned."""

    name: Line
    title: Line
    basis: Literal["rental", "owned"]
    date: str
    source: str
    includes: str
    """What the price covers, in words."""
    usd_per_gpu_hour: UsdPerHour | None = None
    """Of a rental."""
    owned: Ownership | None = None
    """What an hour of an owned GPU is made of."""
    gpu: str = ""
    """The GPU that it buys, by name."""
    provider: str = ""
    commitment: Literal[
        "", "on demand", "1 year", "3 years", "spot", "index", "assumption", "purchase"
    ] = ""
    status: Known = "read"
    notes: str = ""
    changed: tuple[str, ...] = ()
    """Numbers that were written over this price's own."""
    instead_of: str = ""
    """The scenario's price, of another GPU, that this one was taken instead of."""

    def __post_init__(self) -> None:
        if self.basis == "rental" and self.usd_per_gpu_hour is None:
            raise ValueError("usd_per_gpu_hour: a rental price needs it")
        if self.basis == "owned" and self.owned is None:
            raise ValueError("owned: a price of this basis needs this part")
        if self.basis == "owned" and self.usd_per_gpu_hour is not None:
            raise ValueError(
                "usd_per_gpu_hour: an owned GPU's hour is added up from `owned`; set "
                "price.owned.server_usd, or take a rental price"
            )
        if self.basis == "rental" and self.owned is not None:
            raise ValueError("owned: a rental price has no such part")


@spec
class Programme:
    """What surrounds the final run: experiments, people, data kept and moved."""

    name: Line
    title: Line
    compute_factor: Multiple
    """Computation of the whole programme over that of the final run."""
    num_contributors: PureNumber
    fte_per_contributor: Fraction
    """Share of full time, mean over contributors."""
    years: PureNumber
    """From the start of the project to its release."""
    compensation: PerYear
    """Pay of a full-time contributor, equity included."""
    staff_overhead: PureNumber
    """Employer's cost over pay."""
    data_bytes_per_token: PureNumber
    """Bytes of data kept for each token of the final run."""
    num_checkpoints: PureNumber
    """Full checkpoints kept."""
    checkpoint_bytes_per_param: PureNumber
    storage: Storage
    egress: Transfer
    """Paid once for the data kept."""
    source: str
    """Of the method."""
    notes: str = ""


@spec
class Power:
    """Where the cluster stands, as far as electricity goes."""

    name: Line
    title: Line
    pue: Pue
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
