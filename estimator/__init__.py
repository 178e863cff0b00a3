"""estimator: what training a large language model takes.

The names below are loaded when they are first asked for, so that the import is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from estimator.api import estimate
    from estimator.catalog import load_scenario
    from estimator.comparison import compare
    from estimator.errors import EstimatorError
    from estimator.plan_search import plan
    from estimator.sweeps import sweep

__all__ = ["EstimatorError", "compare", "estimate", "load_scenario", "plan", "sweep"]

HOMES = {
    "EstimatorError": "errors",
    "compare": "comparison",
    "estimate": "api",
    "load_scenario": "catalog",
    "plan": "plan_search",
    "sweep": "sweeps",
}
"""Public name -> the module that it is defined in, which has another name."""


def __getattr__(name: str) -> object:
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)
