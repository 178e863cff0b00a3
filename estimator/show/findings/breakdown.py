"""Where the seconds of one step go, by cause."""

from __future__ import annotations

from estimator.show.findings.base import Bars, Reported, Series, finding
from estimator.workload.causes import COMPUTATION


def breakdown(answer: Reported) -> Bars:
    """Show where the seconds of a step go: a bar per cause; they add up to the step."""
    step = answer.report.step
    parts = dict(sorted(step.parts.items(), key=lambda part: part[1]))
    computing = sum(parts.get(cause, 0.0) for cause in COMPUTATION) / step.step_s
    losses = [cause for cause in reversed(parts) if cause not in COMPUTATION][:2]
    said = f"Computation takes {computing:.0%} of a step" + "".join(
        f", {cause} {parts[cause] / step.step_s:.0%}" for cause in losses
    )
    shares = tuple(f"{spent / step.step_s:.1%}" for spent in parts.values())
    return Bars(
        said,
        "seconds of a step",
        "",
        tuple(parts),
        (Series("mean over ranks", tuple(parts.values()), shares),),
        is_horizontal=True,
        is_coloured_by_name=True,
    )


finding("breakdown")(breakdown)
