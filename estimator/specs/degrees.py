"""The parallel degrees of a plan: how many GPUs share each thing, and how many that is.

Every product of degrees is formed here, and held against the GPUs there are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple


class Indivisible(NamedTuple):
    """A product of degrees that does not divide what it has to."""

    axis: str
    """The factor to change first."""
    sizes: Mapping[str, int]
    """All factors."""
    total: int
    """What they have to divide."""
    words: str

    def room(self, axis: str) -> int:
        """Return what a factor has to divide while the others stay; 0: none helps."""
        rest = math.prod(self.sizes.values()) // self.sizes[axis]
        return 0 if self.total % rest else self.total // rest


class Degrees(NamedTuple):
    """Along how many GPUs a plan cuts each thing; 1: it does not.

    >>> plan = Degrees(tp=8, cp=2, pp=16, ep=64)
    >>> plan.width, plan.dp(2048), plan.expert_width, plan.multiple
    (256, 8, 64, 1024)
    """

    tp: int = 1
    cp: int = 1
    pp: int = 1
    ep: int = 1
    etp: int = 1
    dp_shard: int = 0
    """Replicas that share one copy; 0: all of them, or none."""

    @property
    def width(self) -> int:
        """GPUs of one replica of the model."""
        return self.tp * self.cp * self.pp

    @property
    def expert_width(self) -> int:
        """Ranks of one stage that one copy of its experts is spread over."""
        return self.ep * self.etp

    @property
    def multiple(self) -> int:
        """The numbers of GPUs that the model can be spread over are multiples of it."""
        return self.pp * math.lcm(self.tp * self.cp, self.expert_width)

    @property
    def sharded_multiple(self) -> int:
        """The same where ``dp_shard`` replicas share one copy."""
        return math.lcm(self.multiple, self.width * (self.dp_shard or 1))

    def dp(self, num_gpus: int) -> int:
        """Return the replicas of all but the experts."""
        return num_gpus // self.width

    def divide(self, num_gpus: int) -> bool:
        """Whether the model can be spread over so many GPUs."""
        return not num_gpus % self.multiple

    def indivisible(self, num_gpus: int) -> Indivisible | None:
        """Return the first product that does not divide so many GPUs, in words.

        >>> Degrees(tp=8, pp=3).indivisible(64).words
        'tp 8 x pp 3 does not divide num_gpus 64'
        >>> Degrees(pp=16, ep=48).indivisible(2048).words
        'ep 48 does not divide num_gpus 2048 / pp 16 = 128'
        >>> Degrees(tp=8, dp_shard=3).indivisible(64).words
        'dp_shard 3 does not divide num_gpus 64 / (tp 8 x pp 1) = 8'
        """
        whole = {"pp": self.pp, "tp": self.tp, "cp": self.cp}
        gpus = f"num_gpus {num_gpus}"
        spread = f"tp {self.tp} x pp {self.pp}" + f" x cp {self.cp}" * (self.cp > 1)
        if num_gpus % self.width:
            axis = "pp" if num_gpus % self.pp else "tp"
            words = f"{spread} does not divide {gpus}"
            return Indivisible(axis, whole, num_gpus, words)
        per_stage, dp = num_gpus // self.pp, self.dp(num_gpus)
        if per_stage % self.expert_width:
            experts = f"ep {self.ep}" + f" x etp {self.etp}" * (self.etp > 1)
            words = f"{experts} does not divide {gpus} / pp {self.pp} = {per_stage}"
            sizes = {"ep": self.ep, "etp": self.etp}
            return Indivisible("ep", sizes, per_stage, words)
        if dp % (self.dp_shard or 1):
            shard = f"dp_shard {self.dp_shard}"
            words = f"{shard} does not divide {gpus} / ({spread}) = {dp}"
            return Indivisible("dp_shard", {"dp_shard": self.dp_shard}, dp, words)
        return None
