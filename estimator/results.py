"""What a command found: reports, and where each comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from estimator import provenance
from estimator.comparison import Comparison
from estimator.provenance import Provenance
from estimator.report import Report
from estimator.specs.scenario import Scenario

RANGES = "every sourced constant between its ends, independent effects added in squares"


@dataclass(frozen=True)
class Result:
    """Reports of one command, ready to be shown or written."""

    reports: tuple[Report, ...]
    sources: tuple[Provenance, ...]
    """Where each report comes from."""
    command: str = ""
    """The command line that gives the same numbers."""
    layers: tuple[Mapping[str, float], ...] = ()
    """Of each report the step as layers of constants are added, if it was asked."""
    comparison: Comparison | None = None

    @property
    def title(self) -> str:
        """The names of the scenarios."""
        names = [report.scenario for report in self.reports]
        if len(names) > 2:
            return f"{names[0]} and {len(names) - 1} others"
        return " and ".join(names)

    @property
    def footers(self) -> tuple[str, ...]:
        """Name, version, date and configuration of each report."""
        return tuple(map(str, self.sources))

    def to_dict(self) -> Any:
        """Return plain values, ready for JSON."""
        rows = [
            report.to_dict() | {"provenance": asdict(source)}
            for report, source in zip(self.reports, self.sources, strict=True)
        ]
        for row, steps in zip(rows, self.layers, strict=False):
            row["layers"] = dict(steps)
        if self.comparison is None:
            return rows
        shares = [vars(share) for share in self.comparison.shares]
        return {"scenarios": rows, "attribution": shares}


def of_reports(
    scenarios: Sequence[Scenario],
    reports: Sequence[Report],
    command: str = "",
    layers: Sequence[Mapping[str, float]] = (),
) -> Result:
    """Return the result of estimates."""
    sources = tuple(map(provenance.of_scenario, scenarios))
    return Result(tuple(reports), sources, command, tuple(layers))


def of_comparison(made: Comparison, command: str = "") -> Result:
    """Return the result of a comparison."""
    sources = tuple(map(provenance.of_scenario, made.scenarios))
    return Result(made.reports, sources, command, comparison=made)
