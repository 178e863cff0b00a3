"""Why one scenario costs more than another: what each changed input adds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple, Protocol

from estimator.answer.report import Report
from estimator.ground.words import short
from estimator.show.findings.base import Bars, Series

WHOLE = "difference"
"""The last bar: all shares together."""


class Contribution(Protocol):
    """What one changed input adds."""

    @property
    def input(self) -> str:
        """``path: before -> after``."""

    @property
    def gpu_hours(self) -> float:
        """GPU-hours that it adds, or saves if negative."""

    @property
    def cost_usd(self) -> float:
        """Dollars that it adds, or saves if negative."""


class Told(NamedTuple):
    """How a quantity is told."""

    verb: str
    axis: str
    before: str = ""
    behind: str = ""
    """What stands around a number."""

    def signed(self, value: float) -> str:
        """Return what an input adds or saves, in short."""
        return f"{'-' if value < 0 else '+'}{self.before}{short(abs(value))}"


QUANTITIES: Mapping[str, Told] = {
    "cost_usd": Told("costs", "USD more than the baseline", before="$"),
    "gpu_hours": Told("takes", "GPU-hours more than the baseline", behind=" GPU-hours"),
}


def difference(
    before: Report,
    after: Report,
    shares: Sequence[Contribution],
    quantity: str = "cost_usd",
) -> Bars:
    """Show what each changed input adds, a waterfall that ends at the difference.

    Parameters
    ----------
    shares : sequence
        They add up to the difference between both reports.
    quantity : str
        ``cost_usd`` or ``gpu_hours``.
    """
    told = QUANTITIES[quantity]
    total = getattr(after, quantity) - getattr(before, quantity)
    ranked = sorted(shares, key=lambda share: -abs(getattr(share, quantity)))
    sizes = [getattr(share, quantity) for share in ranked]
    starts = accumulate(sizes, initial=0.0)
    bars = [
        _Bar("saves" if size < 0 else "adds", brief(share.input), size, start)
        for share, size, start in zip(ranked, sizes, starts, strict=False)
    ]
    # bars are listed upwards, and the largest share is read first
    bars = [_Bar(WHOLE, WHOLE, total, 0.0), *reversed(bars)]
    return Bars(
        _said(before, after, ranked, quantity),
        told.axis,
        "",
        tuple(bar.name for bar in bars),
        tuple(
            _series(kind, bars, told)
            for kind in ("saves", "adds", WHOLE)
            if any(bar.kind == kind for bar in bars)
        ),
        is_horizontal=True,
    )


class _Bar(NamedTuple):
    kind: str
    name: str
    size: float
    start: float


def _series(kind: str, bars: Sequence[_Bar], told: Told) -> Series:
    """Return the bars of one colour; the others have no size in it."""
    own = [bar.kind == kind for bar in bars]
    rows = list(zip(bars, own, strict=True))
    return Series(
        kind,
        tuple(bar.size if is_own else 0.0 for bar, is_own in rows),
        tuple(told.signed(bar.size) if is_own else "" for bar, is_own in rows),
        tuple(bar.start if is_own else 0.0 for bar, is_own in rows),
    )


def _said(
    before: Report, after: Report, ranked: Sequence[Contribution], quantity: str
) -> str:
    told = QUANTITIES[quantity]
    total = getattr(after, quantity) - getattr(before, quantity)
    if not total:
        return f"{after.scenario} {told.verb} as much as {before.scenario}"
    amount = f"{told.before}{short(abs(total))}{told.behind}"
    word = "more" if total > 0 else "less"
    said = f"{after.scenario} {told.verb} {amount} {word} than {before.scenario}"
    sizes = [getattr(share, quantity) * total for share in ranked]
    if len(ranked) < 2 or max(sizes) <= 0:
        return said
    main = ranked[sizes.index(max(sizes))]
    return f"{said}, most of it because of {brief(main.input)}"


def brief(changed: str) -> str:
    """Return a changed input, or how many there are that only work together.

    >>> brief("plan.pp: 8 -> 16"), brief("plan.pp: 8 -> 16; plan.ep: 8 -> 64")
    ('plan.pp: 8 -> 16', '2 inputs that only work together')
    """
    count = changed.count("; ") + 1
    return changed if count == 1 else f"{count} inputs that only work together"
