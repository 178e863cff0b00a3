"""How the step grows from datasheets to what a kernel trace adds."""

from __future__ import annotations

from itertools import pairwise

from estimator.ground.words import duration, signed
from estimator.show.findings.base import Answer, Bars, Series, finding


def layers(answer: Answer) -> Bars:
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


finding("layers")(layers)
