"""estimator: what training a large language model takes.

The names below are loaded when they are first asked for, so that the import is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from estimator.answer.api import estimate
    from estimator.catalog.loading import load_scenario
    from estimator.explore.comparison import compare
    from estimator.explore.plan.search import plan
    from estimator.explore.sweeps import sweep
    from estimator.ground.errors import EstimatorError

__all__ = ["EstimatorError", "compare", "estimate", "load_scenario", "plan", "sweep"]

HOMES = {
    "EstimatorError": "ground.errors",
    "compare": "explore.comparison",
    "estimate": "answer.api",
    "load_scenario": "catalog.loading",
    "plan": "explore.plan.search",
    "sweep": "explore.sweeps",
}
"""Public name -> the module that it is defined in, which has another name."""


def __getattr__(name: str) -> object:
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)
