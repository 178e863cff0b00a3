"""One test over many rows of data: it names those that fail."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

import pytest


def each(
    names: str | tuple[str, ...], rows: Iterable[Any]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that runs a test for each row, as one test.

    It is written as ``pytest.mark.parametrize`` is, for what is one statement about
    all files of a folder, say, rather than a statement about each.
    """
    keys = (
        tuple(name.strip() for name in names.split(","))
        if isinstance(names, str)
        else names
    )
    values = [row if len(keys) > 1 else (row,) for row in rows]

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(test)
        def run(**fixtures: Any) -> None:
            failed = []
            for row in values:
                given = dict(zip(keys, row, strict=True))
                try:
                    test(**given, **fixtures)
                except (Exception, pytest.fail.Exception) as error:
                    said = ", ".join(f"{key} {value!r}" for key, value in given.items())
                    failed.append(f"{said}: {type(error).__name__}: {error}")
            assert values, "there is no row"
            assert not failed, f"{len(failed)} of {len(values)}:\n" + "\n".join(failed)

        signature = inspect.signature(test)
        kept = [each for name, each in signature.parameters.items() if name not in keys]
        run.__signature__ = signature.replace(parameters=kept)  # type: ignore[attr-defined]
        del run.__wrapped__  # type: ignore[attr-defined]
        return run

    return decorate
