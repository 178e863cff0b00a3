"""What can be rented: accelerators, servers, networks and the cluster they make.

Peaks are dense (no sparsity) and bandwidths one way per GPU. Each file carries three
separate layers: the **specification** (datasheet), what is **achievable** (a
micro-benchmark of one kernel alone), and what is left **in situ** (a kernel trace with
computation and communication side by side).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from estimator.specs.base import Count, Duration, Fraction, spec
from estimator.units import Bytes, BytesPerS, FlopPerS, Seconds, SquareMm, Watts


@spec
class Achievable:
    """What single kernels reach on this GPU, as shares of its peaks."""

    gemm: Mapping[str, Fraction]
    """Sustained share of the dense peak inside a matrix product's main loop."""
    hbm: Fraction
    """Share of the memory bandwidth of the best streaming kernel."""
    elementwise: Fraction
    """Share of the memory bandwidth of norms, casts, activations, permutations."""
    attention_forward: Fraction
    """Share of the BF16 peak of a long causal attention forward pass."""
    attention_backward: Fraction
    attention_forward_half_len: Fraction
    """Sequence length at which attention runs at half that share."""
    attention_backward_half_len: Fraction
    older_attention: Mapping[str, Fraction] = field(default_factory=dict)
    """Rate of earlier attention kernels over that of the fastest; 1 where absent."""
    tile_s: Duration
    """Fixed cost of one output tile of a matrix product."""
    launch_s: Duration
    """Fixed cost of one kernel."""


@spec
class InSitu:
    """What changes when computation and communication run side by side."""

    weight_gradient: Mapping[str, Fraction]
    """Main-loop share of weight gradients by precision recipe, where they have a
    kernel of their own; other recipes use ``achievable.gemm``."""
    dispatch: Fraction
    """Share of the stand-alone expert dispatch rate kept beside computation."""
    combine: Fraction
    rank_skew_s: Duration
    """Mean wait for the slowest of 64 ranks in front of each expert all-to-all."""


@spec
class Gpu:
    """One accelerator as its vendor specifies it, and what was measured on it."""

    name: str
    title: str
    vendor: str
    num_sms: Count
    hbm_bytes: Bytes
    hbm_bytes_per_s: BytesPerS
    peak_flop_per_s: Mapping[str, FlopPerS]
    tdp_watts: Watts
    achievable: Achievable
    in_situ: InSitu
    sources: Mapping[str, str]
    """Where each field's number comes from; ``default`` covers the rest."""
    recalled: tuple[str, ...] = ()
    """Fields whose number was recalled, not read in the source."""
    die_area_mm2: SquareMm | None = None
    notes: str = ""


@spec
class Node:
    """One server: its GPUs, the links between them, and its power."""

    name: str
    title: str
    gpu: Gpu
    gpus_per_node: Count
    nvlink_bytes_per_s: BytesPerS
    """One way, per GPU."""
    nvlink_efficiency: Fraction
    """Share reached by large ring collectives and all-to-alls inside the node."""
    nvlink_latency_s: Seconds
    max_power_watts: Watts
    sources: Mapping[str, str]
    recalled: tuple[str, ...] = ()
    notes: str = ""


@spec
class Fabric:
    """The network between nodes, as one GPU sees it."""

    name: str
    title: str
    topology: str
    bytes_per_s: BytesPerS
    """One way, per GPU."""
    latency_s: Seconds
    efficiency: Fraction
    """Share reached by collectives and point-to-point transfers."""
    dispatch_efficiency: Fraction
    """Share of the wire reached by an expert dispatch that runs alone."""
    combine_efficiency: Fraction
    sources: Mapping[str, str]
    oversubscription: float = 1.0
    """Leaf-to-spine oversubscription; 1 is non-blocking."""
    recalled: tuple[str, ...] = ()
    notes: str = ""

    def __post_init__(self) -> None:
        if self.oversubscription < 1:
            raise ValueError(
                f"oversubscription is 1 or more, not {self.oversubscription}"
            )


@spec
class Cluster:
    """Identical nodes on one fabric."""

    node: Node
    fabric: Fabric
    num_gpus: Count
