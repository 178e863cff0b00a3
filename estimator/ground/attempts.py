"""Several questions of one command: what answers, and why the rest does not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from estimator.ground.errors import EstimatorError, InfeasibleError

T = TypeVar("T")


@dataclass(frozen=True)
class Failed:
    """One of several questions that has no answer."""

    scenario: str
    error: str
    """Why, in one line."""
    place: int
    """Where it stands among those that were asked, from 0."""


def attempted(
    names: Sequence[str], answer: Callable[[int], T]
) -> tuple[list[T], tuple[Failed, ...]]:
    """Return the answers that there are, and why others are missing.

    Parameters
    ----------
    names : sequence of str
        What each question is called.
    answer : function
        From a question's place to its answer.

    Raises
    ------
    EstimatorError
        If there is no answer at all: the error itself where all questions share one.
    """
    made: list[T] = []
    failed: list[Failed] = []
    errors: dict[str, EstimatorError] = {}
    for place, name in enumerate(names):
        try:
            made.append(answer(place))
        except EstimatorError as error:
            failed.append(Failed(name, one_line(error), place))
            errors[f"{error.what}{error.where}"] = error
    if not made and errors:
        if len(errors) == 1:
            raise next(iter(errors.values()))
        raise InfeasibleError(
            f"none of these {len(names)} can be estimated",
            where=[f"{each.scenario}: {each.error}" for each in failed],
        )
    return made, tuple(failed)


def one_line(error: EstimatorError) -> str:
    """Return a message in one line: what is wrong, or where if that says more."""
    told = (place.partition(": ")[2] for place in error.where)
    return "; ".join(filter(None, told)) or error.what


def in_order(
    made: Sequence[T], failed: Sequence[Failed], shown: Callable[[Failed], T]
) -> list[T]:
    """Return answers as they were asked, with something shown for each missing one.

    >>> in_order(["a", "c"], [Failed("b", "no", 1)], lambda each: each.error)
    ['a', 'no', 'c']
    """
    rows = list(made)
    for each in failed:
        rows.insert(each.place, shown(each))
    return rows
