"""Inputs that the What-if page can vary, and the values that it starts with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from estimator.catalog import kinds
from estimator.explore.plan.space import NOT_TRAINING
from estimator.schedules.programs import schedule
from estimator.show.findings.what_if import Input
from estimator.specs.scenario import Scenario
from estimator.specs.training import Recipe


@dataclass(frozen=True)
class Number:
    """A number that is varied from one end to another."""

    words: str
    path: str
    said: str = "{}"
    """A value in a sentence."""
    one: float = 1.0
    """What one unit of the words stands for, in SI."""
    unit: str = ""
    """Behind each value on the command line."""
    factors: tuple[float, float] = (0.5, 2.0)
    """First and last value, over the scenario's own."""
    count: int = 8
    """Values to start with."""
    multiple: Callable[[Scenario], int] | None = None
    """Of whole numbers: what all values are multiples of."""

    @property
    def is_structural(self) -> bool:
        """Whether each value is a step of its own: rates and prices are not."""
        return self.multiple is not None

    def is_in(self, scenario: Scenario) -> bool:
        """Whether the scenario has this number: an owned GPU has no rent."""
        return value_at(scenario, self.path) is not None

    def ends(self, scenario: Scenario) -> tuple[float, float]:
        """Return the first and the last value to start with."""
        own = float(value_at(scenario, self.path)) / self.one
        low, high = (_round(own * factor) for factor in self.factors)
        if self.multiple:
            low, high = self.values((low, high), 2, scenario)
        return low, high

    def values(
        self, ends: tuple[float, float], count: int, scenario: Scenario
    ) -> tuple[float, ...]:
        """Return the values between two ends; whole ones in even ratios."""
        if not self.multiple:
            spaced = np.linspace(*ends, count)
            return tuple(dict.fromkeys(float(f"{value:.4g}") for value in spaced))
        step = self.multiple(scenario)
        spaced = np.rint(np.geomspace(*ends, count) / step)
        return tuple(dict.fromkeys((np.maximum(spaced, 1) * step).tolist()))

    def varied(self, values: tuple[float, ...]) -> str:
        """Return the ``--vary`` option."""
        number = "{:.0f}" if self.multiple else "{:.10g}"
        words = ",".join(number.format(value) + self.unit for value in values)
        return f"{self.path}={words}"


@dataclass(frozen=True)
class Offer:
    """A thing that is exchanged."""

    words: str
    path: str
    options: Callable[[], list[str]]
    said: str = "{}"
    """A value in a sentence."""
    first: tuple[str, ...] = ()
    """Chosen to start with, beside the scenario's own."""

    @property
    def is_structural(self) -> bool:
        """Whether each value is a step of its own."""
        return True

    def is_in(self, scenario: Scenario) -> bool:
        """Whether the scenario has one."""
        return value_at(scenario, self.path) is not None

    def own(self, scenario: Scenario) -> str:
        """Return what the scenario has."""
        value = value_at(scenario, self.path)
        return str(getattr(value, "name", value))

    def start(self, scenario: Scenario) -> list[str]:
        """Return what is chosen to start with, the scenario's own first."""
        return list(dict.fromkeys((self.own(scenario), *self.first)))

    def varied(self, values: tuple[str, ...]) -> str:
        """Return the ``--vary`` option."""
        return f"{self.path}={','.join(values)}"


NODE = Offer(
    "Node",
    "cluster.node",
    lambda: kinds.names("node"),
    first=("hgx-h800", "hgx-h100"),
)
INPUTS: tuple[Number | Offer, ...] = (
    Number(
        "Network, GB/s one way per GPU",
        "cluster.fabric.bytes_per_s",
        "a network of {} GB/s",
        1e9,
        "GB/s",
        count=7,
    ),
    Number(
        "GPUs",
        "cluster.num_gpus",
        "{} GPUs",
        factors=(0.5, 4.0),
        count=8,
        multiple=lambda scenario: scenario.plan.degrees.multiple,
    ),
    Number(
        "NVLink, GB/s one way per GPU",
        "cluster.node.nvlink_bytes_per_s",
        "NVLink of {} GB/s",
        1e9,
        "GB/s",
        (0.25, 2.5),
        count=10,
    ),
    Number("Price, USD per GPU-hour", "price.usd_per_gpu_hour", "${} an hour", count=7),
    Number(
        "Memory, GB per GPU",
        "cluster.node.gpu.hbm_bytes",
        "{} GB of memory",
        1e9,
        "GB",
        count=7,
    ),
    Number(
        "Memory bandwidth, GB/s per GPU",
        "cluster.node.gpu.hbm_bytes_per_s",
        "memory of {} GB/s",
        1e9,
        "GB/s",
    ),
    Number(
        "Micro-batch, sequences",
        "plan.micro_batch_size",
        "micro-batches of {}",
        factors=(1.0, 8.0),
        count=4,
        multiple=lambda _: 1,
    ),
    NODE,
    Offer("Fabric", "cluster.fabric", lambda: kinds.names("fabric")),
    Offer(
        "Schedule",
        "plan.schedule",
        lambda: [name for name in schedule if name not in NOT_TRAINING],
        first=("1f1b", "zb-h1"),
    ),
    Offer(
        "Software",
        "software",
        lambda: kinds.names("software"),
        first=("megatron-core-2026-08", "pytorch-fsdp2"),
    ),
    Offer(
        "Precision",
        "precision.recipe",
        lambda: list(get_args(Recipe)),
        first=("bf16", "fp8"),
    ),
)
BY_WORDS = {each.words: each for each in INPUTS}


def told(each: Number | Offer, values: tuple[Any, ...]) -> Input:
    """Return an input with its values, as a figure tells it."""
    return Input(each.words, values, each.said)


def value_at(scenario: Scenario, path: str) -> Any:
    """Return what a resolved scenario has at a dotted path."""
    here: Any = scenario
    for key in path.split("."):
        here = getattr(here, key)
    return here


def _round(value: float) -> float:
    return float(f"{value:.3g}")
