"""What a command found: reports, and where each comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from estimator.answer import provenance
from estimator.answer.provenance import Provenance
from estimator.answer.report import Report
from estimator.explore.comparison import Comparison
from estimator.ground.attempts import Failed, in_order
from estimator.specs.scenario import Scenario


@dataclass(frozen=True)
class Result:
    """Reports of one command, ready to be shown or written."""

    scenarios: Sequence[Scenario]
    reports: Sequence[Report]
    """Of each scenario."""
    command: str = ""
    """The command line that gives the same numbers."""
    layers: Sequence[Mapping[str, float]] = ()
    """Of each report the step as layers of constants are added, if it was asked."""
    comparison: Comparison | None = None
    failed: Sequence[Failed] = ()
    """What was asked for beside, and cannot be estimated."""

    @cached_property
    def sources(self) -> tuple[Provenance, ...]:
        """Where each report comes from."""
        return tuple(map(provenance.of_scenario, self.scenarios))

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

    def said(self, part: str) -> tuple[str, ...]:
        """Return what the reports say alike, each sentence once.

        Parameters
        ----------
        part : str
            A field of reports that holds words, such as ``not_counted``.
        """
        words = dict.fromkeys(getattr(report, part) for report in self.reports)
        return tuple(f"{each[:1].upper()}{each[1:].rstrip('.')}." for each in words)

    def to_dict(self) -> Any:
        """Return plain values, ready for JSON."""
        rows = [
            report.to_dict() | {"provenance": asdict(source)}
            for report, source in zip(self.reports, self.sources, strict=True)
        ]
        for row, steps in zip(rows, self.layers, strict=False):
            row["layers"] = dict(steps)
        if self.comparison is None:
            return self._with_failed(rows)
        made = self.comparison
        for row, place, changes in zip(rows, made.baselines, made.changes, strict=True):
            row["against_first"] = {"scenario": made.reports[place].scenario} | changes
        for row, note in zip(rows, made.adjusted, strict=False):
            row["adjusted"] = note
        shares = [vars(share) for share in made.shares]
        return {"scenarios": self._with_failed(rows), "attribution": shares}

    def _with_failed(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return in_order(
            rows,
            self.failed,
            lambda each: {"scenario": each.scenario, "error": each.error},
        )
