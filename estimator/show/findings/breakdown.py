"""Where the seconds of one step go: by cause, and by layer of constants."""

from __future__ import annotations

from itertools import pairwise

from estimator.ground.words import duration, signed
from estimator.show.findings.base import Answered, Bars, Reported, Series, finding
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


def layers(answer: Answered) -> Bars:
    """Show how the step grows as layers of constants are added: a waterfall."""
    steps = tuple(answer.layers.values())
    added = (steps[0], *(after - before for before, after in pairwise(steps)))
    labels = (duration(added[0]), *(signed(duration(seconds)) for seconds in added[1:]))
    none = (0.0,) * len(steps)
    return Bars(
        f"Datasheets alone give {duration(steps[0])} of a {duration(steps[-1])} step: "
        f"{steps[0] / steps[-1]:.0%}",
        "seconds of a step",
        "layer of constants",
        (*answer.layers, "step"),
        (
            Series(
                "added by the layer",
                (*added, 0.0),
                (*labels, ""),
                (0.0, *steps[:-1], 0.0),
            ),
            Series(
                "whole step",
                (*none, steps[-1]),
                ("",) * len(steps) + (duration(steps[-1]),),
                (*none, 0.0),
            ),
        ),
    )


finding("breakdown")(breakdown)
finding("layers")(layers)
