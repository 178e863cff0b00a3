"""Which plans promise most: bounds, corrected by what plans like them took."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from math import log2

import numpy as np
from numpy.typing import NDArray

from estimator.explore.plan.space import Candidate
from estimator.ground.lanes import Floats

RIDGE = 0.05
"""Weight of the squared coefficients: how little one plan alone is believed."""


@dataclass
class Guess:
    """Wall times of candidates as those that were evaluated let expect.

    It decides what is evaluated next, never what is answered.
    """

    bound_s: Floats
    features: Floats
    """Shape (candidates, features)."""
    kind: NDArray[np.intp]
    """Shape (candidates,): those of one kind have bounds about as near to the truth."""
    tried: list[int] = field(default_factory=list)
    log_ratio: list[float] = field(default_factory=list)

    def learn(self, index: int, wall_s: float) -> None:
        """Take in what a candidate took, in seconds."""
        self.tried.append(index)
        self.log_ratio.append(float(np.log(wall_s / self.bound_s[index])))

    def hoped_s(self) -> Floats:
        """Return the seconds of each if it came as near to its bound as any did.

        Any of its kind; the bound itself where none of it was evaluated.
        """
        factor = np.full(int(self.kind.max(initial=0)) + 1, np.inf)
        np.minimum.at(factor, self.kind[self.tried], np.exp(self.log_ratio))
        made: Floats = self.bound_s * np.where(np.isinf(factor), 1.0, factor)[self.kind]
        return made

    def expected_s(self) -> Floats:
        """Return the seconds that each is expected to take.

        The logarithm of evaluated time over bound is taken as linear in what a plan is
        made of, by ridge regression.
        """
        if not self.tried:
            return self.bound_s
        known, width = self.features[self.tried], self.features.shape[1]
        mean = float(np.mean(self.log_ratio))
        normal = known.T @ known + RIDGE * np.eye(width)
        weights = np.linalg.solve(normal, known.T @ (np.array(self.log_ratio) - mean))
        made: Floats = self.bound_s * np.exp(mean + self.features @ weights)
        return made


def guess(candidates: Sequence[Candidate], bound_s: Floats) -> Guess:
    """Return a guess that has not learned anything: the bounds themselves."""
    kinds = [
        _one_hot([each.pipe.schedule for each in candidates]),
        _one_hot([each.shape.recompute for each in candidates]),
        _one_hot([each.zero for each in candidates]),
    ]
    sizes = [
        [
            log2(each.shape.tp),
            log2(each.shape.cp),
            log2(each.shape.ep),
            log2(each.shape.etp),
            log2(each.shape.micro_batch_size),
            log2(each.pipe.pp),
            log2(each.pipe.stages_per_rank or 1),
            float(each.shape.tp > 1),
            float(each.shape.cp > 1),
        ]
        for each in candidates
    ]
    alike = [
        (each.pipe.schedule, each.shape.tp > 1, each.zero > 1) for each in candidates
    ]
    return Guess(
        bound_s,
        np.hstack([*kinds, np.array(sizes).reshape(-1, 9)]),
        _places(alike),
    )


def _one_hot(values: Sequence[Hashable]) -> Floats:
    """Return one column for each value, 1 where a candidate has it."""
    place = _places(values)
    made: Floats = np.eye(int(place.max(initial=0)) + 1)[place]
    return made


def _places(values: Sequence[Hashable]) -> NDArray[np.intp]:
    """Return for each value its place among those that differ."""
    known = {value: place for place, value in enumerate(dict.fromkeys(values))}
    return np.array([known[value] for value in values], dtype=np.intp)
