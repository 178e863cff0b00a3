"""What a GPU and its links sustain, at each of the three layers of constants.

``specification`` takes the datasheet at its word; ``achievable`` adds what single
kernels reach in micro-benchmarks; ``in-situ`` adds what a kernel trace shows when
computation and communication run side by side. A scenario is estimated in situ; the
other two exist to show how far each kind of knowledge goes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import inf
from statistics import NormalDist
from typing import Any

from estimator.costs.overheads import Overheads, overheads
from estimator.ground.errors import InfeasibleError
from estimator.ground.lanes import smallest
from estimator.specs.base import Constant
from estimator.specs.hardware import PEAK_OF, Cluster, Gpu

FEWEST_SMS = 64
"""Streaming multiprocessors that a data-centre GPU has at least; the fewest of those
under ``hardware/`` are an H20's 78."""


class Layer(StrEnum):
    """How much of what is known goes into the constants."""

    SPECIFICATION = "specification"
    ACHIEVABLE = "achievable"
    IN_SITU = "in-situ"


SUSTAINED = (
    "hbm_bytes_per_s",
    "elementwise_bytes_per_s",
    "plain_bytes_per_s",
    "cast_bytes_per_s",
    "permutation_bytes_per_s",
    "attention_forward_flop_per_s",
    "attention_backward_flop_per_s",
    "attention_forward_most",
    "attention_backward_most",
)
"""Rates of a :class:`Device` that are single numbers."""


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
    plain_bytes_per_s: float
    cast_bytes_per_s: float
    permutation_bytes_per_s: float
    attention_forward_flop_per_s: float
    attention_backward_flop_per_s: float
    older_attention: Mapping[str, float]
    older_attention_loss: Mapping[str, float]
    attention_forward_half_len: float
    attention_backward_half_len: float
    attention_forward_half_rows: float
    attention_backward_half_rows: float
    attention_forward_most: float
    """FLOP/s at the clock that power sustains; infinite where nobody measured it."""
    attention_backward_most: float
    wide_attention_backward: float
    """What keys wider than values leave of a backward pass's rate."""
    epilogue: float
    """Share of a tile's output traffic that no other tile's main loop hides."""
    tile_s: float
    launch_s: float
    small_kernel_s: float
    """What the smallest kernel lasts behind its launch."""
    comm_sms: float
    """SMs that a collective takes from computation beside it."""
    full_attention_loss: float
    """What is left of attention's losses without a mask."""
    softmax_bytes: float
    """Bytes of element-wise kernels that last as long as a score of a fused softmax."""
    top_k_kernels: float
    """Small kernels that last as long as a wave of top-k blocks."""
    misaligned: Mapping[str, float] = field(default_factory=dict)
    """What is left of a 16-bit product's rate where a row is ``even`` or ``odd`` in
    elements, not a multiple of 16 bytes; all of it where absent."""

    @property
    def has_large_cores(self) -> bool:
        """Whether the chip is a few cores with vector and copy engines of their own.

        A TPU, Gaudi, Trainium or Ascend, of 1 to 48; not a GPU, whose many small ones
        run blocks of threads.
        """
        return self.num_sms < FEWEST_SMS

    def matured(self, maturity: float, most: Device) -> Device:
        """Return the rates of software that reaches this share of each.

        None is above that of ``most``, the part as its vendor specifies it.
        """

        def each(
            rates: Mapping[str, float], highest: Mapping[str, float]
        ) -> dict[str, float]:
            return {
                kernel: smallest(maturity * rate, highest.get(kernel, inf))
                for kernel, rate in rates.items()
            }

        single: dict[str, Any] = {
            name: smallest(maturity * getattr(self, name), getattr(most, name))
            for name in SUSTAINED
        }
        return replace(
            self,
            gemm_flop_per_s=each(self.gemm_flop_per_s, most.gemm_flop_per_s),
            weight_flop_per_s=each(self.weight_flop_per_s, most.weight_flop_per_s),
            **single,
            tile_s=self.tile_s / maturity,
            launch_s=self.launch_s / maturity,
            small_kernel_s=self.small_kernel_s / maturity,
        )

    def clocked(self, share: float) -> Device:
        """Return the rates at this share of the clock; memory keeps its own."""

        def scaled(rates: Mapping[str, float]) -> dict[str, float]:
            return {kernel: share * rate for kernel, rate in rates.items()}

        return replace(
            self,
            gemm_flop_per_s=scaled(self.gemm_flop_per_s),
            weight_flop_per_s=scaled(self.weight_flop_per_s),
            attention_forward_flop_per_s=share * self.attention_forward_flop_per_s,
            attention_backward_flop_per_s=share * self.attention_backward_flop_per_s,
            attention_forward_most=share * self.attention_forward_most,
            attention_backward_most=share * self.attention_backward_most,
        )


@dataclass(frozen=True)
class Links:
    """A GPU's ways out, one way, as the communication formulas see them."""

    gpus_per_node: int
    """GPUs of one scale-up domain."""
    nvlink_bytes_per_s: float
    nvlink_latency_s: float
    nic_bytes_per_s: float
    """Point-to-point, and collectives with few members on a node."""
    nic_latency_s: float
    dispatch_bytes_per_s: float
    """Wire rate of an expert dispatch over the fabric."""
    combine_bytes_per_s: float
    rank_skew_s: float
    """Mean wait before an all-to-all of ``skew_bytes`` over eight nodes."""
    skew_bytes: float = 1.0
    few_nodes_skew: float = 0.0
    """Share of that wait on two to four nodes."""
    topology: str = "switch"
    torus: tuple[int, ...] = ()
    host_bytes_per_s: float = inf
    all_to_all_bytes_per_s: float = inf
    """Over the scale-up links, where it is less than ``nvlink_bytes_per_s``."""
    switch_reduction_bytes_per_s: float = 0.0
    """Where the switch reduces; 0 where it cannot."""
    node_nic_bytes_per_s: float | None = None
    """Collectives over whole nodes; ``nic_bytes_per_s`` by default."""
    max_nics: int | None = None
    has_net_reduction: bool = False
    oversubscription: float = 1.0
    """Beyond ``pod_gpus``; the rates above are those of a NIC at its own port."""
    pod_gpus: int = 0
    tree: float = 1.0
    """Bandwidth of a double tree over a ring's."""
    pat: float = 1.0
    """Bandwidth of parallel aggregated trees over the wire's."""
    overheads: Overheads = field(default_factory=Overheads)


def half_precision(gpu: Gpu) -> str:
    """Return the 16-bit format that a GPU trains in: BF16, or FP16 where it has none.

    Parameters
    ----------
    gpu : Gpu
        With the shares of its peaks that products reach, by format.

    Raises
    ------
    InfeasibleError
        If its file gives a rate for neither.

    >>> from estimator.catalog.loading import load
    >>> half_precision(load("gpu", "v100-sxm2-32"))
    'fp16'
    """
    for dtype in ("bf16", "fp16"):
        if dtype in gpu.achievable.gemm:
            return dtype
    raise InfeasibleError(f"{gpu.title} has no BF16 and no FP16 rate in its file")


def device(gpu: Gpu, layer: Layer) -> Device:
    """Return the sustained rates of a GPU at one layer of constants.

    Parameters
    ----------
    gpu : Gpu
        Peaks in FLOP/s and B/s, and the measured share of each with its source.
    layer : Layer
        ``specification``: every share is 1 and nothing costs fixed seconds, except for
        an epilogue; ``achievable``: peak times share; ``in-situ``: shares of weight
        gradients as in a training step.

    Raises
    ------
    InfeasibleError
        If the GPU's file gives no rate of a 16-bit format.

    >>> from estimator.catalog.loading import load
    >>> device(load("gpu", "h100-sxm"), Layer.SPECIFICATION).hbm_bytes_per_s / 1e12
    3.35
    """
    known, peaks, half = gpu.achievable, gpu.peak_flop_per_s, half_precision(gpu)
    is_ideal = layer is Layer.SPECIFICATION

    def reached(constant: Constant | None, most: float = 1.0) -> float:
        return most if is_ideal or constant is None else constant.value

    gemm = {
        kernel: peaks[PEAK_OF.get(kernel, kernel)] * reached(share)
        for kernel, share in known.gemm.items()
    }
    gemm["bf16"] = gemm[half]  # a part without BF16 trains in FP16
    weight = dict(gemm)
    if layer is Layer.IN_SITU:
        for kernel, share in gpu.in_situ.weight_gradient.items():
            weight[kernel] = peaks[PEAK_OF.get(kernel, kernel)] * share.value
    bf16, hbm = peaks[half], gpu.hbm_bytes_per_s
    return Device(
        num_sms=gpu.num_sms,
        gemm_flop_per_s=gemm,
        weight_flop_per_s=weight,
        hbm_bytes_per_s=hbm * reached(known.hbm),
        elementwise_bytes_per_s=hbm * reached(known.elementwise),
        plain_bytes_per_s=hbm * reached(known.plain or known.hbm),
        cast_bytes_per_s=hbm * reached(known.cast or known.elementwise),
        permutation_bytes_per_s=hbm * reached(known.permutation or known.elementwise),
        attention_forward_flop_per_s=bf16 * reached(known.attention_forward),
        attention_backward_flop_per_s=bf16 * reached(known.attention_backward),
        older_attention={} if is_ideal else _values(known.older_attention),
        older_attention_loss=_values(known.older_attention_loss),
        attention_forward_half_len=reached(known.attention_forward_half_len, 0.0),
        attention_backward_half_len=reached(known.attention_backward_half_len, 0.0),
        attention_forward_half_rows=reached(known.attention_forward_half_rows, 0.0),
        attention_backward_half_rows=reached(known.attention_backward_half_rows, 0.0),
        attention_forward_most=bf16 * reached(known.attention_forward_sustained, inf),
        attention_backward_most=bf16 * reached(known.attention_backward_sustained, inf),
        wide_attention_backward=reached(known.wide_attention_backward),
        epilogue=known.epilogue.value if known.epilogue else 1.0,
        tile_s=reached(known.tile_s, 0.0),
        launch_s=reached(known.launch_s, 0.0),
        small_kernel_s=reached(known.small_kernel_s, 0.0),
        comm_sms=gpu.in_situ.comm_sms.value,
        full_attention_loss=known.full_attention_loss.value,
        softmax_bytes=known.softmax_bytes.value,
        top_k_kernels=known.top_k_kernels.value,
        misaligned={} if is_ideal else _values(known.misaligned),
    )


def _values(shares: Mapping[str, Constant]) -> dict[str, float]:
    return {name: share.value for name, share in shares.items()}


def links(cluster: Cluster, layer: Layer, *, is_overlapped: bool) -> Links:
    """Return the sustained rates of a cluster's links at one layer of constants.

    Parameters
    ----------
    cluster : Cluster
        Its node and fabric: rates of the wire, and the measured share of each.
    layer : Layer
        Which shares count; the wait for the slowest rank does in situ only.
    is_overlapped : bool
        Whether expert all-to-alls run beside computation, which slows them down.

    >>> from estimator.catalog.loading import load_scenario
    >>> cluster = load_scenario("deepseek-v3").cluster
    >>> wires = links(cluster, Layer.SPECIFICATION, is_overlapped=True)
    >>> wires.nic_bytes_per_s / 1e9  # 400 Gb/s
    50.0
    """
    node, fabric = cluster.node, cluster.fabric
    is_ideal = layer is Layer.SPECIFICATION

    def share(constant: Constant | None, default: float = 1.0) -> float:
        return default if is_ideal or constant is None else constant.value

    dispatch = share(fabric.dispatch_efficiency)
    combine = share(fabric.combine_efficiency)
    skew_s = 0.0
    if layer is Layer.IN_SITU:
        skew_s = node.gpu.in_situ.rank_skew_s.value
        if is_overlapped:
            dispatch *= node.gpu.in_situ.dispatch.value
            combine *= node.gpu.in_situ.combine.value
    known, wire, nvlink = node.collectives, fabric.bytes_per_s, node.nvlink_bytes_per_s
    whole = fabric.collective_efficiency or fabric.efficiency
    reduction = known.switch_reduction
    return Links(
        gpus_per_node=node.scaleup_gpus,
        nvlink_bytes_per_s=nvlink * share(node.nvlink_efficiency),
        nvlink_latency_s=node.nvlink_latency_s,
        nic_bytes_per_s=wire * share(fabric.efficiency),
        nic_latency_s=fabric.latency_s,
        dispatch_bytes_per_s=wire * dispatch,
        combine_bytes_per_s=wire * combine,
        rank_skew_s=skew_s,
        skew_bytes=node.gpu.in_situ.skew_bytes.value,
        few_nodes_skew=node.gpu.in_situ.few_nodes_skew.value,
        topology=node.topology,
        torus=node.torus,
        host_bytes_per_s=node.host_bytes_per_s.value if node.host_bytes_per_s else inf,
        all_to_all_bytes_per_s=nvlink * share(known.all_to_all),
        switch_reduction_bytes_per_s=nvlink * share(reduction) if reduction else 0.0,
        node_nic_bytes_per_s=wire * share(whole),
        max_nics=known.max_nics,
        has_net_reduction=fabric.has_switch_reduction,
        oversubscription=fabric.oversubscription,
        pod_gpus=fabric.pod_gpus or 0,
        tree=known.tree.value,
        pat=known.pat.value,
        overheads=Overheads() if is_ideal else overheads(node, fabric),
    )


def slowest(spread: float, num_units: int) -> float:
    """Return the rate of the slowest of ``num_units`` over the mean.

    Parameters
    ----------
    spread : float
        Standard deviation over mean of the rates, which are normal; a few per cent.
    num_units : int
        GPUs that wait for each other.

    Notes
    -----
    ``1 - spread z((n - 3/8) / (n + 1/4))``: Blom's approximation (1958) of the expected
    extreme; z is the normal quantile.

    >>> slowest(0.0, 1024), slowest(0.02, 1)
    (1.0, 1.0)
    """
    if num_units < 2:
        return 1.0
    quantile = (num_units - 0.375) / (num_units + 0.25)
    return 1.0 - spread * NormalDist().inv_cdf(quantile)
