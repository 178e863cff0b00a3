"""Which plans promise most: bounds, corrected by what plans like them took."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from math import log2

import numpy as np

from estimator.lanes import Floats
from estimator.plan_space import Candidate

RIDGE = 0.05
"""Weight of the squared coefficients: how little one plan alone is believed."""


@dataclass
class Guess:
    """Expected wall times of candidates, by a ridge regression of time over bound.

    The logarithm of evaluated time over bound is taken as linear in what a plan is
    made of. It decides what is evaluated next, never what is answered.
    """

    bound_s: Floats
    features: Floats
    """Shape (candidates, features)."""
    tried: list[int] = field(default_factory=list)
    log_ratio: list[float] = field(default_factory=list)

    def learn(self, index: int, wall_s: float) -> None:
        """Take in what a candidate took, in seconds."""
        self.tried.append(index)
        self.log_ratio.append(float(np.log(wall_s / self.bound_s[index])))

    def expected_s(self) -> Floats:
        """Return the seconds that each candidate is expected to take."""
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
    return Guess(bound_s, np.hstack([*kinds, np.array(sizes).reshape(-1, 9)]))


def _one_hot(values: Sequence[Hashable]) -> Floats:
    """Return one column for each value, 1 where a candidate has it."""
    known = list(dict.fromkeys(values))
    place = np.array([known.index(value) for value in values], dtype=np.intp)
    return np.eye(len(known))[place]
