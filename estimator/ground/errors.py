"""Errors that a person can act on: what, where, why, and what to try."""

from __future__ import annotations

from collections.abc import Sequence


class EstimatorError(Exception):
    """A problem whose remedy is in the user's hands; faces print it without traceback.

    Parameters
    ----------
    what : str
        One line that says what is wrong, names quoted and values shown.
    where : sequence of str
        Places, as ``file:line: field: problem``.
    why : str
        What the reader may not know.
    fix : str
        What to try.
    """

    status = 2
    """How a command exits that it ends."""

    def __init__(
        self, what: str, *, where: Sequence[str] = (), why: str = "", fix: str = ""
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = tuple(where)
        self.why = why
        self.fix = fix

    def __str__(self) -> str:
        lines = [self.what]
        lines += [
            f"  {'at' if first else '  '} {place}"
            for first, place in zip(
                [True] + [False] * len(self.where), self.where, strict=False
            )
        ]
        if self.why:
            lines.append(f"  why {self.why}")
        if self.fix:
            lines.append(f"  try {self.fix}")
        return "\n".join(lines)


class InputError(EstimatorError):
    """A file, a name or an override is wrong."""


class InfeasibleError(EstimatorError):
    """The parts are right, but they do not fit together."""


class ScheduleError(EstimatorError):
    """A schedule is incomplete or cannot finish."""


class OutsideError(EstimatorError):
    """What failed lies outside: a disk, a process, a cluster."""

    status = 1


class StoppedError(EstimatorError):
    """A person stopped the work; it says how to go on."""

    status = 130
