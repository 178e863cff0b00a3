"""Where a figure or a report comes from: name, version, date and configuration."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from estimator.catalog.published import as_written
from estimator.engine.bubble import PipelineStep
from estimator.ground.documents import to_plain
from estimator.specs.scenario import Scenario

DIGITS = 12
MOST_LETTERS = 60
"""Of a name in a footer."""
WORDS_ONLY = ("name", "question", "variants")
"""Parts of a scenario that no number follows from."""


@dataclass(frozen=True)
class Provenance:
    """What every exported figure carries in its footer."""

    name: str
    configuration: str
    """Of what the numbers follow from: the same digits, the same configuration."""
    date: str
    version: str

    def __str__(self) -> str:
        name = self.name
        if len(name) > MOST_LETTERS:
            name = f"{name[: MOST_LETTERS // 2]}...{name[-MOST_LETTERS // 2 :]}"
        return (
            f"{name} | estimator {self.version} | {self.date} | "
            f"configuration {self.configuration}"
        )


def of_scenario(scenario: Scenario) -> Provenance:
    """Return where a scenario's figures come from."""
    plain = to_plain(as_written(scenario))
    return _made(
        scenario.name,
        {key: part for key, part in plain.items() if key not in WORDS_ONLY},
    )


def of_schedules(steps: list[PipelineStep], durations: Any) -> Provenance:
    """Return where a figure of schedules comes from."""
    name = " and ".join(
        step.graph.program.schedule.rpartition("/")[2] for step in steps
    )
    rows = [
        [[str(each) for each in row] for row in step.graph.program.ranks]
        for step in steps
    ]
    return _made(name, [rows, to_plain(durations)])


def of_data(name: str, value: Any) -> Provenance:
    """Return where a figure comes from that shows other data than one scenario."""
    return _made(name, to_plain(value))


def _made(name: str, value: Any) -> Provenance:
    canonical = json.dumps(value, sort_keys=True, default=str).encode()
    return Provenance(
        name,
        hashlib.sha256(canonical).hexdigest()[:DIGITS],
        datetime.now(UTC).date().isoformat(),
        version("estimator"),
    )
