"""Clocks and parts to the answer: GPU-hours, wall time, dollars, MFU, energy.

Parts add up to the whole everywhere: a rank's rows to the step, the step's parts to
the step, phases to the run.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from estimator.answer.track_record import TrackRecord
from estimator.costs.training_compute import Standing
from estimator.ground.units import HOUR_S

if TYPE_CHECKING:
    import pandas as pd

AROUND = ("experiments_usd", "staff_usd", "storage_usd", "egress_usd")
"""Parts of a cost that a programme adds to the final run's computing."""


@dataclass(frozen=True)
class RankRow:
    """Where the seconds of one step go on one pipeline rank."""

    rank: int
    forward_s: float
    """Forward chunks on their own."""
    backward_s: float
    """Full backward chunks on their own."""
    backward_input_s: float
    weight_s: float
    overlapped_s: float
    """Overlapped pairs of a forward and a backward chunk."""
    bubble_s: float
    """Waiting for other ranks."""
    optimizer_s: float

    @property
    def total_s(self) -> float:
        """The step."""
        return (
            self.forward_s
            + self.backward_s
            + self.backward_input_s
            + self.weight_s
            + self.overlapped_s
            + self.bubble_s
            + self.optimizer_s
        )


@dataclass(frozen=True)
class Step:
    """One optimizer step."""

    step_s: float
    tokens_per_s: float
    tokens_per_s_per_gpu: float
    tflop_per_s_per_gpu: float
    mfu: float
    mfu_noncausal: float
    hfu: float
    peak_dtype: str
    """The 16-bit format whose peak these are shares of: ``bf16``, or ``fp16`` on a GPU
    without it."""
    bubble_fraction: float
    exposed_comm_s: float
    """Mean over ranks: all-to-alls, skew, tensor-parallel and gradient traffic that
    nothing hides."""
    num_microbatches: int
    ranks: tuple[RankRow, ...]
    parts: dict[str, float]
    """Seconds by cause, mean over ranks; they add up to ``step_s``."""
    optimizer_parts: dict[str, float]


@dataclass(frozen=True)
class Memory:
    """The fullest rank."""

    peak_bytes: float
    hbm_bytes: float
    headroom_bytes: float
    """What the scenario keeps free of it."""
    fits: bool
    fits_with_headroom: bool
    rank: int
    in_flight: tuple[int, ...]
    parts: dict[str, float]
    ranks: tuple[dict[str, float], ...]
    advice: str = ""
    """What would fit with headroom, where it does not."""


@dataclass(frozen=True)
class PhaseReport:
    """One phase of training."""

    name: str
    basis: str
    gpu_hours: float
    cost_usd: float
    """Its share of the whole bill, by GPU-hours: phases add up to the cost."""
    num_tokens: float = 0.0
    num_steps: int = 0
    step_s: float = 0.0
    wall_s: float = 0.0
    source: str = ""
    model_flop: float = 0.0
    """What the phase adds to the training's operations; 0 where none were counted."""
    scaled_from: str = ""
    """What published hours were spent on, where that is not what is asked: its node,
    or the scenario as it was written."""

    @property
    def follows_step(self) -> bool:
        """Whether its hours are as long as the simulated step says."""
        return self.basis == "simulated" or bool(self.scaled_from)

    @property
    def basis_title(self) -> str:
        """The basis in words."""
        return phase_basis(self.basis, self.scaled_from)


def phase_basis(basis: str, scaled_from: str) -> str:
    """Return in words how a phase's hours are known.

    >>> phase_basis("published", "hgx-h800")
    'published, scaled from hgx-h800'
    """
    return f"{basis}, scaled from {scaled_from}" if scaled_from else basis


@dataclass(frozen=True)
class Assumption:
    """A number or statement that the answer rests on."""

    name: str
    value: float | str
    unit: str
    source: str
    layer: str
    low: float | None = None
    high: float | None = None
    status: str = "read"
    step_effect: tuple[float, float] | None = None
    """Step time at the low and at the high end, over the step itself."""
    cost_effect: tuple[float, float] | None = None
    """The same of the cost, where a constant moves dollars and no second."""


@dataclass(frozen=True)
class Report:
    """The answer to one scenario."""

    scenario: str
    question: str
    gpu: str
    num_gpus: int
    software: str
    """Name of the release that trains."""
    software_title: str
    gpu_hours: float
    wall_s: float
    cost_usd: float
    cost: dict[str, float]
    """By part; they add up to ``cost_usd``."""
    cost_basis: str
    """``rental``, ``owned`` or ``programme``."""
    cost_basis_title: str
    price_title: str
    """What an hour is paid by, in words: a dated price, or a number that was set."""
    energy_joules: float
    co2_kg: float
    phases: tuple[PhaseReport, ...]
    step: Step
    memory: Memory
    assumptions: tuple[Assumption, ...]
    not_counted: str
    range: dict[str, tuple[float, float]] = field(default_factory=dict)
    range_method: str = ""
    total_flop: float = 0.0
    """Model FLOP of all simulated phases (:mod:`estimator.costs.training_compute`)."""
    flop_thresholds: tuple[Standing, ...] = ()
    flop_not_counted: tuple[str, ...] = ()
    """Phases whose tokens are not published."""
    track_record: TrackRecord | None = None
    """What was checked of this kind of GPU and model."""

    @property
    def usd_per_gpu_hour(self) -> float:
        """Dollars for computing, whatever a programme adds, over GPU-hours."""
        return (self.cost_usd - self.around_usd) / self.gpu_hours

    @property
    def around_usd(self) -> float:
        """Dollars that a programme adds to the final run's computing."""
        return sum(self.cost.get(part, 0.0) for part in AROUND)

    @property
    def published_gpu_hours(self) -> float:
        """GPU-hours that are taken from their source, not predicted."""
        return sum(phase.gpu_hours for phase in self.phases if not phase.follows_step)

    @property
    def wall_range_s(self) -> tuple[float, float]:
        """The range of the wall time."""
        low, high = self.range["gpu_hours"]
        return low / self.num_gpus * HOUR_S, high / self.num_gpus * HOUR_S

    @property
    def mfu_range(self) -> tuple[float, float]:
        """The range of the step's MFU: the longest step has the lowest."""
        simulated = self.gpu_hours - self.published_gpu_hours
        shortest, longest = (
            (end - self.published_gpu_hours) / simulated
            for end in self.range["gpu_hours"]
        )
        return self.step.mfu / longest, self.step.mfu / shortest

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return asdict(self)

    def row(self) -> dict[str, Any]:
        """Return the numbers that scenarios are compared by."""
        step, memory = self.step, self.memory
        return {
            "scenario": self.scenario,
            "gpu": self.gpu,
            "num_gpus": self.num_gpus,
            "software": self.software,
            "gpu_hours": self.gpu_hours,
            "wall_s": self.wall_s,
            "cost_usd": self.cost_usd,
            "price_title": self.price_title,
            "step_s": step.step_s,
            "mfu": step.mfu,
            "bubble_fraction": step.bubble_fraction,
            "peak_bytes": memory.peak_bytes,
            "fits": memory.fits,
            "fits_with_headroom": memory.fits_with_headroom,
        }

    def frame(self) -> pd.DataFrame:
        """Return the phases as a pandas frame, one row each."""
        import pandas as pd

        return pd.DataFrame(map(asdict, self.phases))


def gpu_hours(wall_s: float, num_gpus: int) -> float:
    """Return the GPU-hours of a stretch of wall time.

    >>> gpu_hours(3600.0, 2048)
    2048.0
    """
    return wall_s * num_gpus / HOUR_S
