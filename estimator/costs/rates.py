"""What a GPU and its links sustain, at each of the three layers of constants.

``specification`` takes the datasheet at its word; ``achievable`` adds what single
kernels reach in micro-benchmarks; ``in-situ`` adds what a kernel trace shows when
computation and communication run side by side. A scenario is estimated in situ; the
other two exist to show how far each kind of knowledge goes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist

from estimator.errors import InfeasibleError
from estimator.specs.hardware import Cluster, Gpu

SKEW_RANKS = 64
"""Ranks whose skew :attr:`InSitu.rank_skew_s` was measured on."""


class Layer(StrEnum):
    """How much of what is known goes into the constants."""

    SPECIFICATION = "specification"
    ACHIEVABLE = "achievable"
    IN_SITU = "in-situ"


@dataclass(frozen=True)
class Device:
    """A GPU as the kernel formulas see it: sustained rates and fixed costs."""

    num_sms: int
    gemm_flop_per_s: Mapping[str, float]
    """By number format, all SMs."""
    weight_flop_per_s: Mapping[str, float]
    """Of weight-gradient products, by precision recipe where they differ."""
    hbm_bytes_per_s: float
    elementwise_bytes_per_s: float
    attention_forward_flop_per_s: float
    attention_backward_flop_per_s: float
    older_attention: Mapping[str, float]
    attention_forward_half_len: float
    attention_backward_half_len: float
    tile_s: float
    launch_s: float


@dataclass(frozen=True)
class Links:
    """A GPU's ways out, one way, as the communication formulas see them."""

    gpus_per_node: int
    nvlink_bytes_per_s: float
    nvlink_latency_s: float
    nic_bytes_per_s: float
    """Collectives and point-to-point."""
    nic_latency_s: float
    dispatch_bytes_per_s: float
    """Wire rate of an expert dispatch over the fabric."""
    combine_bytes_per_s: float
    rank_skew_s: float
    """Mean wait before an all-to-all of :data:`SKEW_RANKS` ranks."""


def device(gpu: Gpu, layer: Layer) -> Device:
    """Return the sustained rates of a GPU at one layer of constants.

    Raises
    ------
    InfeasibleError
        If the GPU's file gives no BF16 peak.
    """
    if "bf16" not in gpu.peak_flop_per_s:
        raise InfeasibleError(f"{gpu.title} has no BF16 peak in its file")
    known, peaks = gpu.achievable, gpu.peak_flop_per_s
    is_ideal = layer is Layer.SPECIFICATION
    gemm = {
        dtype: peak * (1.0 if is_ideal else known.gemm[dtype].value)
        for dtype, peak in peaks.items()
        if is_ideal or dtype in known.gemm
    }
    weight = dict(gemm)
    if layer is Layer.IN_SITU:
        for dtype, share in gpu.in_situ.weight_gradient.items():
            weight[dtype] = peaks[dtype] * share.value
    bf16, hbm = peaks["bf16"], gpu.hbm_bytes_per_s
    return Device(
        num_sms=gpu.num_sms,
        gemm_flop_per_s=gemm,
        weight_flop_per_s=weight,
        hbm_bytes_per_s=hbm * (1.0 if is_ideal else known.hbm.value),
        elementwise_bytes_per_s=hbm * (1.0 if is_ideal else known.elementwise.value),
        attention_forward_flop_per_s=bf16
        * (1.0 if is_ideal else known.attention_forward.value),
        attention_backward_flop_per_s=bf16
        * (1.0 if is_ideal else known.attention_backward.value),
        older_attention={}
        if is_ideal
        else {name: share.value for name, share in known.older_attention.items()},
        attention_forward_half_len=0.0
        if is_ideal
        else known.attention_forward_half_len.value,
        attention_backward_half_len=0.0
        if is_ideal
        else known.attention_backward_half_len.value,
        tile_s=0.0 if is_ideal else known.tile_s.value,
        launch_s=0.0 if is_ideal else known.launch_s.value,
    )


def links(cluster: Cluster, layer: Layer, *, is_overlapped: bool) -> Links:
    """Return the sustained rates of a cluster's links at one layer of constants.

    ``is_overlapped`` says whether expert all-to-alls run beside computation, which
    slows them down.
    """
    node, fabric = cluster.node, cluster.fabric
    wire = fabric.bytes_per_s / fabric.oversubscription
    is_ideal = layer is Layer.SPECIFICATION
    dispatch = 1.0 if is_ideal else fabric.dispatch_efficiency.value
    combine = 1.0 if is_ideal else fabric.combine_efficiency.value
    skew_s = 0.0
    if layer is Layer.IN_SITU:
        skew_s = node.gpu.in_situ.rank_skew_s.value
        if is_overlapped:
            dispatch *= node.gpu.in_situ.dispatch.value
            combine *= node.gpu.in_situ.combine.value
    return Links(
        gpus_per_node=node.gpus_per_node,
        nvlink_bytes_per_s=node.nvlink_bytes_per_s
        * (1.0 if is_ideal else node.nvlink_efficiency.value),
        nvlink_latency_s=node.nvlink_latency_s,
        nic_bytes_per_s=wire * (1.0 if is_ideal else fabric.efficiency.value),
        nic_latency_s=fabric.latency_s,
        dispatch_bytes_per_s=wire * dispatch,
        combine_bytes_per_s=wire * combine,
        rank_skew_s=skew_s,
    )


def skew_s(measured_s: float, num_ranks: int) -> float:
    """Return the mean wait for the slowest of ``num_ranks`` ranks.

    The wait grows like the expected maximum of as many independent normal delays
    (Blom's approximation), scaled to what was measured on :data:`SKEW_RANKS` ranks.

    >>> skew_s(2e-3, 64), skew_s(2e-3, 1)
    (0.002, 0.0)
    """
    if num_ranks < 1:
        raise ValueError(f"num_ranks must be positive, got {num_ranks}")
    return measured_s * _expected_maximum(num_ranks) / _expected_maximum(SKEW_RANKS)


def _expected_maximum(count: int) -> float:
    # Blom 1958: E[max of n standard normals] is about Phi^-1((n - 3/8) / (n + 1/4)).
    return NormalDist().inv_cdf((count - 0.375) / (count + 0.25)) if count > 1 else 0.0
