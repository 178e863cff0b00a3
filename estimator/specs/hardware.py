"""What can be rented: accelerators, servers, networks and the cluster they make.

Peaks are dense (no sparsity) and bandwidths one way per GPU. Each file carries three
separate layers: the **specification** (datasheet), what is **achievable** (a
micro-benchmark of one kernel alone), and what is left **in situ** (a kernel trace with
computation and communication side by side).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, Literal

from pydantic import Field

from estimator.ground.units import Bytes, BytesPerS, FlopPerS, Seconds, SquareMm, Watts
from estimator.specs.base import (
    Constant,
    ConstantOf,
    Count,
    Duration,
    Fraction,
    Line,
    PureNumber,
    Rate,
    Share,
    Size,
    spec,
)
from estimator.specs.defaults import default

Status = Mapping[str, Literal["derived", "assumed", "disputed"]]
"""Fields of a file whose number was not simply read in its source."""


PEAK_OF: Mapping[str, str] = {"fp8_tensor": "fp8", "nvfp4": "fp4"}
"""Kernels named after their scaling -> the format whose peak they are held against.
``fp8`` itself is block-scaled (1 x 128), as DeepSeek-V3 trains; ``fp8_tensor`` has one
scale per tensor or row, ``nvfp4`` one per 16 elements."""


@spec
class Achievable:
    """What single kernels reach on this GPU, as shares of its peaks."""

    gemm: Mapping[str, Share]
    """Sustained share of the dense peak inside a matrix product's main loop, by kind of
    kernel: a number format, or one scaled in another way (:data:`PEAK_OF`)."""
    hbm: Share
    """Share of the memory bandwidth of the best streaming kernel."""
    elementwise: Share
    """Share of the memory bandwidth of norms and activations."""
    plain: Share | None = None
    """Share of the memory bandwidth of kernels of one simple operation: sums, products
    and PyTorch's own. None where nobody measured it: that of the best streaming kernel,
    which is one of them (on an H800 sums reach 0.92 of the bandwidth, products 0.86, in
    deepseek-ai/profile-data ``train.json``)."""
    cast: Share | None = None
    """Share of the memory bandwidth of casts to 8 and 4 bits in the library that
    trains. None where nobody measured it: as in element-wise kernels."""
    permutation: Share | None = None
    """Share of the memory bandwidth of rows gathered for experts, or added up. None
    where nobody measured it: as in element-wise kernels."""
    attention_forward: Share
    """Share of the BF16 peak of a long causal attention forward pass."""
    attention_backward: Share
    attention_forward_half_len: PureNumber
    """Sequence length at which attention runs at half that share."""
    attention_backward_half_len: PureNumber
    attention_forward_half_rows: PureNumber | None = None
    """Heads x tokens at which too few thread blocks for the SMs halve the rate. None
    where nobody measured it: no loss."""
    attention_backward_half_rows: PureNumber | None = None
    attention_forward_sustained: Share | None = None
    """Share of the BF16 peak at the clock that power sustains while attention runs for
    tens of milliseconds. None where nobody measured it: no bound."""
    attention_backward_sustained: Share | None = None
    wide_attention_backward: Share | None = None
    """Rate of a backward pass whose keys are wider than its values (MLA: 192 beside
    128) over that of equal widths. None where nobody measured it: no loss."""
    older_attention: Mapping[str, Share] = field(default_factory=dict)
    """Rate of earlier attention kernels over that of the fastest; 1 where absent."""
    older_attention_loss: Mapping[str, Share] = field(default_factory=dict)
    """What they lose to short rows and to the last wave, as a share of their rate, over
    what the fastest loses; 1 where absent."""
    epilogue: Fraction | None = None
    """Share of an output tile's memory traffic that no other tile's main loop hides.
    None where nobody measured it: all of it."""
    misaligned: Mapping[str, Share] = field(default_factory=dict)
    """What is left of a 16-bit product's main loop where a row is not a multiple of 16
    bytes: ``even`` or ``odd`` in elements; no loss where nobody measured it."""
    full_attention_loss: Share = default(Share, "achievable.full_attention_loss")
    """What attention without a mask loses to short rows and to the last wave, over what
    it loses under a causal mask at the same length."""
    softmax_bytes: Size = default(Size, "achievable.softmax_bytes")
    """Bytes of element-wise kernels that last as long as a score of a masked softmax in
    one kernel, forward."""
    top_k_kernels: PureNumber = default(PureNumber, "achievable.top_k_kernels")
    """What a wave of top-k blocks lasts, in small kernels."""
    tile_s: Duration
    """Fixed cost of one output tile of a matrix product."""
    launch_s: Duration
    """Fixed cost of one kernel: the gap in front of it."""
    small_kernel_s: Duration
    """How long a kernel runs that moves next to nothing."""


Spread = Annotated[Constant, ConstantOf("1", most=0.1, noun="a spread of clocks")]
Bulk = Annotated[Constant, ConstantOf("B", is_positive=True)]
Multiprocessors = Annotated[Constant, ConstantOf("1", most=64.0, noun="SMs lent")]


@spec
class InSitu:
    """What changes when computation and communication run side by side."""

    weight_gradient: Mapping[str, Share]
    """Main-loop share of weight gradients by precision recipe, where they have a
    kernel of their own; other recipes use ``achievable.gemm``."""
    dispatch: Share
    """Share of the stand-alone expert dispatch rate kept beside computation."""
    combine: Share
    rank_skew_s: Duration
    """Mean wait in front of each expert all-to-all of 64 ranks on eight nodes, of
    ``skew_bytes``."""
    skew_bytes: Bulk = default(Bulk, "in_situ.skew_bytes")
    """What a rank sent over the fabric where that wait was measured."""
    few_nodes_skew: Share = default(Share, "in_situ.few_nodes_skew")
    """Share of the wait on two to four nodes; from four to eight it grows to all of
    it."""
    comm_sms: Multiprocessors = default(Multiprocessors, "in_situ.comm_sms")
    """Streaming multiprocessors that a collective takes from computation while both
    run, where a plan does not say."""
    clock_spread: Spread | None = None
    """Standard deviation of one unit's sustained clock among units of a kind, over the
    mean: a synchronous job runs at the pace of its slowest. None where clocks are
    fixed."""


@spec
class Gpu:
    """One accelerator as its vendor specifies it, and what was measured on it."""

    name: Line
    title: Line
    vendor: str
    num_sms: Count
    hbm_bytes: Bytes
    hbm_bytes_per_s: BytesPerS
    peak_flop_per_s: Mapping[str, FlopPerS]
    """Dense, by number format; of an integer format, operations."""
    achievable: Achievable
    in_situ: InSitu
    sources: Mapping[str, str]
    """Where each field's number comes from; ``default`` covers the rest."""
    recalled: tuple[str, ...] = ()
    """Fields whose number was recalled, not read in the source."""
    status: Status = field(default_factory=dict)
    context_bytes: Size = default(Size, "gpu.context_bytes")
    """Memory of the CUDA context and of the matrix library's workspace."""
    tdp_watts: Watts | None = None
    """None where the vendor publishes none."""
    scaleup_io_bytes_per_s: BytesPerS | None = None
    """Links to other GPUs, both directions added up, as export rules count them."""
    die_area_mm2: SquareMm | None = None
    release_date: str = ""
    architecture: str = ""
    """The maker's name for the generation: GPUs that share it are each other's nearest
    kind."""
    notes: str = ""

    def __post_init__(self) -> None:
        for where, kernels in (
            ("achievable.gemm", self.achievable.gemm),
            ("in_situ.weight_gradient", self.in_situ.weight_gradient),
        ):
            for kernel in kernels:
                if PEAK_OF.get(kernel, kernel) not in self.peak_flop_per_s:
                    raise ValueError(
                        f"{where}: {kernel} has no peak in peak_flop_per_s"
                    )


@spec
class Collectives:
    """What a collective library adds to the wire inside a scale-up domain.

    Seconds of an operation of ``s`` steps: ``launch_s + s * step_s`` and the bytes at
    ``low_latency`` of the wire, or ``simple_s`` more with steps that grow by up to
    ``chunk_s`` as their chunks fill, and the bytes at full rate (see
    ``costs/collectives.py``).
    """

    launch_s: Duration
    step_s: Duration
    simple_s: Duration
    """Added once by the protocol for large messages."""
    chunk_s: Duration
    """Added to each step once its chunk is full."""
    chunk_bytes: Size
    """A rank's share of the message at which half of ``chunk_s`` is added."""
    low_latency: Share
    """Share of the wire in the protocol for small messages (flags beside the data)."""
    all_to_all: Share
    """Share of the wire reached by an all-to-all."""
    copy_bytes_per_s: Rate
    """A rank's own part, copied from its input to its output."""
    switch_reduction: Share | None = None
    """Share of the wire where the switch reduces (NVLink SHARP); none if it cannot."""
    switch_reduction_s: Duration | None = None
    tree: Share = default(Share, "collectives.tree")
    """Bandwidth of a double tree over a ring's."""
    pat: Share = default(Share, "collectives.pat")
    """Bandwidth of parallel aggregated trees over the wire's."""
    buffer_bytes: Size = default(Size, "collectives.buffer_bytes")
    """Memory of a GPU that the channels of collectives and all-to-alls take."""
    max_nics: Count | None = None
    """NICs of a domain that one ring or tree keeps busy; all by default."""


@spec
class Node:
    """One server: its GPUs, the links between them, and its power.

    Its GPUs, or those of several chassis, form a scale-up domain: NVLink, Infinity
    Fabric, ICI, or PCIe where there is nothing else.
    """

    name: Line
    title: Line
    gpu: Gpu
    gpus_per_node: Count
    nvlink_bytes_per_s: BytesPerS
    """One way, per GPU, to all the others together."""
    nvlink_efficiency: Share
    """Share reached by large ring collectives inside the scale-up domain."""
    nvlink_latency_s: Seconds
    max_power_watts: Watts
    collectives: Collectives
    sources: Mapping[str, str]
    topology: Literal["switch", "mesh", "torus", "pcie"] = "switch"
    """A switch gives any pair the full rate, a mesh one of its links, a torus one axis
    to small groups; over PCIe more than two GPUs share the host's memory."""
    scaleup_domain: Count | None = None
    """GPUs that the scale-up links reach; ``gpus_per_node`` by default."""
    torus: Annotated[tuple[Count, ...], Field(max_length=8)] = ()
    """Chips along each axis of a torus."""
    host_bytes_per_s: Rate | None = None
    """What all GPUs of a PCIe node share once they do not reach each other directly."""
    offload_bytes_per_s: Rate | None = None
    """One way between one GPU and its host's memory."""
    dispatch_s: Duration | None = None
    """Host time of one kernel of an eager framework, Python to queue; none where
    programs are compiled."""
    piece_calls: PureNumber = default(PureNumber, "node.piece_calls")
    """Kernels' worth of host time that a piece of a list takes: two views and a
    copy."""
    check_s: Duration | None = None
    """Host time, for each rank of a collective, of comparing shapes before it runs;
    none where nobody measured it."""
    recalled: tuple[str, ...] = ()
    status: Status = field(default_factory=dict)
    notes: str = ""

    def __post_init__(self) -> None:
        if self.topology == "torus" and not self.torus:
            raise ValueError("torus: a torus needs the chips along each axis")
        if self.topology == "pcie" and self.host_bytes_per_s is None:
            raise ValueError("host_bytes_per_s: a PCIe node needs it")
        if self.scaleup_gpus < self.gpus_per_node:
            raise ValueError(
                f"scaleup_domain: {self.scaleup_domain} GPUs are fewer than the "
                f"{self.gpus_per_node} of one node"
            )

    @property
    def scaleup_gpus(self) -> int:
        """GPUs of one scale-up domain."""
        return self.scaleup_domain or self.gpus_per_node


@spec
class Fabric:
    """The network between scale-up domains, as one GPU sees it."""

    name: Line
    title: Line
    topology: str
    bytes_per_s: BytesPerS
    """One way, per GPU; a GPU's share where several have one NIC."""
    latency_s: Seconds
    efficiency: Share
    """Share that a NIC sustains in a training job: many groups at once, each with few
    members on a node, and point-to-point."""
    dispatch_efficiency: Share
    """Share of the wire reached by an expert dispatch that runs alone."""
    combine_efficiency: Share
    sources: Mapping[str, str]
    collective_efficiency: Share | None = None
    """Share that a NIC sustains in one collective over whole nodes; ``efficiency`` by
    default."""
    step_s: Duration | None = None
    """One step of a collective across this network with full chunks, GPU to GPU."""
    oversubscription: Annotated[float, Field(ge=1, le=1e6)] = 1.0
    """Uplinks of a pod over what its GPUs can send, inverted; 1 is non-blocking."""
    pod_gpus: Count | None = None
    """GPUs that reach each other below the oversubscribed layer; without it all that
    leaves a node is squeezed."""
    gpus_per_nic: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    """For information: ``bytes_per_s`` is a GPU's share already."""
    has_switch_reduction: bool = False
    """Whether its switches reduce (InfiniBand SHARP)."""
    num_planes: Count = 1
    """Separate networks, one for each rail; a message that changes rails goes over the
    scale-up links first. No faster (arXiv 2505.09343, table 4), but larger with two
    layers of switches, which an owner pays less for."""
    recalled: tuple[str, ...] = ()
    status: Status = field(default_factory=dict)
    notes: str = ""


@spec
class Cluster:
    """Identical nodes on one fabric."""

    node: Node
    fabric: Fabric
    num_gpus: Count
