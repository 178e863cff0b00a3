"""What the seconds of a step go to, in the words that reports and traces print."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Cause(StrEnum):
    """What time is booked under."""

    GEMM = "gemm"
    ATTENTION = "attention"
    ELEMENTWISE = "element-wise"
    ALL_TO_ALL = "all-to-all"
    RANK_SKEW = "rank skew"
    """The wait in front of an all-to-all, until the last rank is there."""
    TENSOR_PARALLEL = "tensor-parallel"
    WEIGHT_GATHERING = "weight gathering"
    GRADIENT_SCATTERING = "gradient scattering"
    OFFLOAD = "offload"
    HOST_LAUNCHES = "host launches"
    """The GPU waits for the host."""
    EXPOSED_ALL_TO_ALL = "exposed all-to-all"
    EXPOSED_TENSOR_PARALLEL = "exposed tensor-parallel"
    EXPOSED_CONTEXT = "exposed context"
    EXPOSED_WEIGHT_GATHERING = "exposed weight gathering"
    EXPOSED_GRADIENT_SCATTERING = "exposed gradient scattering"
    EXPOSED_OFFLOAD = "exposed offload"
    EXPOSED_PIPELINE = "exposed pipeline"
    """A stage waits for its send."""
    BUBBLE = "bubble"
    SYNCHRONISATION = "gradient synchronisation"
    OPTIMIZER = "optimizer"


COMPUTATION = (Cause.GEMM, Cause.ATTENTION, Cause.ELEMENTWISE)
"""What the GPU computes."""
EXPOSED_AS: Mapping[str, Cause] = {
    Cause.ALL_TO_ALL: Cause.EXPOSED_ALL_TO_ALL,
    Cause.RANK_SKEW: Cause.EXPOSED_ALL_TO_ALL,
    Cause.TENSOR_PARALLEL: Cause.EXPOSED_TENSOR_PARALLEL,
    Cause.WEIGHT_GATHERING: Cause.EXPOSED_WEIGHT_GATHERING,
    Cause.GRADIENT_SCATTERING: Cause.EXPOSED_GRADIENT_SCATTERING,
    Cause.OFFLOAD: Cause.EXPOSED_OFFLOAD,
}
"""What communication is called as far as computation waits for it."""
EXPOSED = frozenset(
    {*EXPOSED_AS.values(), Cause.EXPOSED_CONTEXT, Cause.EXPOSED_PIPELINE}
)
"""Communication that nothing hides."""
