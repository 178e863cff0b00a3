"""What each pipeline rank does with the seconds of one step."""

from __future__ import annotations

from estimator.ground.words import duration
from estimator.show.findings.base import Bars, Reported, Series, finding

KINDS = (
    "forward",
    "overlapped",
    "backward",
    "backward_input",
    "weight",
    "optimizer",
    "bubble",
)
"""Fields of a rank's row, in seconds."""


def ranks(answer: Reported) -> Bars:
    """Show what each rank does in a step; bars are as high as the step is long."""
    step = answer.report.step
    least = min(step.ranks, key=lambda row: row.bubble_s)
    most = max(step.ranks, key=lambda row: row.bubble_s)
    spent = (
        Series(
            kind.replace("_", " "),
            tuple(getattr(row, f"{kind}_s") for row in step.ranks),
        )
        for kind in KINDS
    )
    return Bars(
        f"Rank {most.rank} waits {duration(most.bubble_s)} of {duration(step.step_s)}, "
        f"rank {least.rank} {duration(least.bubble_s)}",
        "seconds of a step",
        "pipeline rank",
        tuple(str(row.rank) for row in step.ranks),
        tuple(series for series in spent if any(series.values)),
    )


finding("ranks")(ranks)
