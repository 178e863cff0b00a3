"""Work of some seconds takes turns, so that a page of another session does not wait."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from threading import RLock
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_turn = RLock()
"""Of the whole server: one long answer, or one page of a link that no control holds, is
worked out at a time, beside what is short."""


@contextmanager
def turn(*, is_needed: bool = True) -> Iterator[None]:
    """Wait until nothing else that takes turns is being worked out."""
    if not is_needed:
        yield
        return
    with _turn:
        yield


def in_turn(work: Callable[P, T]) -> Callable[P, T]:
    """Return a function of which, and of all its like, one runs at a time."""

    @wraps(work)
    def waits(*args: P.args, **kwargs: P.kwargs) -> T:
        with _turn:
            return work(*args, **kwargs)

    return waits
