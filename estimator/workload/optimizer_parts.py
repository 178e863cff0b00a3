"""What happens between two steps, by the words that reports and traces print."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class OptimizerPart(StrEnum):
    """What happens between two steps, in the order in which it does."""

    OTHER_CHECKS = "checks of other collectives"
    CHECK = "check gradients"
    AVERAGE = "average gradients"
    SCATTER_SHARED = "reduce-scatter of shared gradients"
    SCATTER_EXPERTS = "reduce-scatter of expert gradients"
    REDUCE_TIED = "all-reduce of tied gradients"
    REDUCE_SHARED = "all-reduce of shared gradients"
    REDUCE_EXPERTS = "all-reduce of expert gradients"
    UNSCALE = "unscale gradients"
    NORM = "norm and clipping"
    ADAM = "Adam"
    GATHER_SHARED = "all-gather of shared weights"
    GATHER_EXPERTS = "all-gather of expert weights"
    BUCKET = "bucket gradients"
    CLEAR = "clear and cast"


SYNCHRONISATION = frozenset(
    {
        *(OptimizerPart.SCATTER_SHARED, OptimizerPart.SCATTER_EXPERTS),
        *(OptimizerPart.REDUCE_SHARED, OptimizerPart.REDUCE_EXPERTS),
        *(OptimizerPart.GATHER_SHARED, OptimizerPart.GATHER_EXPERTS),
        OptimizerPart.REDUCE_TIED,
    }
)
"""Parts in which ranks exchange gradients or weights."""


class OptimizerCollectives(NamedTuple):
    """Parts in which some weights and their gradients travel."""

    scatter: OptimizerPart
    reduce: OptimizerPart
    gather: OptimizerPart


OF_SHARED = OptimizerCollectives(
    OptimizerPart.SCATTER_SHARED,
    OptimizerPart.REDUCE_SHARED,
    OptimizerPart.GATHER_SHARED,
)
OF_EXPERTS = OptimizerCollectives(
    OptimizerPart.SCATTER_EXPERTS,
    OptimizerPart.REDUCE_EXPERTS,
    OptimizerPart.GATHER_EXPERTS,
)
