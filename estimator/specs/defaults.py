"""Constants that hold for every part whose own file says nothing else.

They stand in ``defaults.yaml`` beside this file, by the record that has the field.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

from estimator.specs.base import Constant, ConstantOf

FILE = Path(__file__).with_suffix(".yaml")
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@cache
def _document() -> dict[str, dict[str, Any]]:
    made: dict[str, dict[str, Any]] = yaml.load(
        FILE.read_text(encoding="utf-8"),
        Loader=_Loader,  # noqa: S506 - a safe one, in C where there is one
    )
    return made


def default(kind: Any, path: str) -> Constant:
    """Return the constant that a field has where its file gives none.

    Parameters
    ----------
    kind : annotated type
        That of the field, which says its unit: ``Share``, ``Size``, ...
    path : str
        Record and field.

    >>> from estimator.specs.base import Size
    >>> default(Size, "gpu.context_bytes").value
    1000000000.0
    """
    record, _, field = path.partition(".")
    unit: ConstantOf = kind.__metadata__[0]
    return unit(_document()[record][field])
