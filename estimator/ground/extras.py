"""Libraries that only some answers need, and the extra that brings each."""

from __future__ import annotations

from importlib.util import find_spec

from estimator.ground.errors import EstimatorError


def require(what: str, extra: str, *modules: str) -> None:
    """Raise unless the modules are installed that an extra brings.

    Raises
    ------
    EstimatorError
        If one is missing: what needs it, and the extra to install.

    Examples
    --------
    >>> require("a clock", "time", "datetime")
    """
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise EstimatorError(f"{what} needs {' and '.join(missing)}: {how(extra)}")


def how(extra: str) -> str:
    """Return how an extra is installed.

    >>> how("export")
    "install the extra 'export' (pip install 'estimator[export]')"
    """
    return f"install the extra {extra!r} (pip install 'estimator[{extra}]')"
