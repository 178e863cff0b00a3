"""Between two steps: gradient reduction, optimizer, weights back to every replica."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from estimator.costs.collectives import Group, all_gather_s, all_reduce_s, group
from estimator.costs.rates import Device, Links
from estimator.ground.lanes import largest
from estimator.specs.scenario import Scenario
from estimator.specs.software import GradientPass, Software
from estimator.workload import stored
from estimator.workload.host import NO_HOST, Host
from estimator.workload.optimizer_parts import (
    OF_EXPERTS,
    OF_SHARED,
    OptimizerCollectives,
    OptimizerPart,
)
from estimator.workload.stages import Held
from estimator.workload.stored import MASTER

WEIGHTS_OF_LAYER, NORMS_OF_LAYER = 4, 2
"""Tensors of a layer: queries with keys and values, output, two of the feed-forward
block; and two norms."""


class Parcels(NamedTuple):
    """In what gradients and weights travel."""

    buckets: Held = Held(1, 1)
    """Buckets of those that do so beside computation; 1 and more, not whole where the
    last is smaller."""
    ends: float = 0.0
    """Weights of embedding and head, which travel in 16 bits always."""


WHOLE = Parcels()


@dataclass(frozen=True)
class Replicas:
    """Groups that hold the same parameters, or shards of them."""

    shared: Group
    experts: Group


def replicas(scenario: Scenario, num_copies: int = 1) -> Replicas:
    """Return the replica groups; ``num_copies`` pipeline ranks hold the same stage.

    Parameters
    ----------
    scenario : Scenario
        Its plan, number of GPUs and GPUs of a node.
    num_copies : int
        Ranks of one pipeline with the same weights: 2 in DualPipe, else 1.

    Returns
    -------
    Replicas
        ``dp cp num_copies`` ranks, ``tp`` apart, share attention and dense weights;
        ``num_gpus / (pp ep etp) num_copies`` ranks, ``ep etp`` apart, the experts.

    Examples
    --------
    >>> from estimator.catalog.loading import load_scenario
    >>> made = replicas(load_scenario("deepseek-v3"), num_copies=2)
    >>> made.shared.size, made.experts.size
    (256, 4)
    """
    plan, per_node = scenario.plan, scenario.cluster.node.scaleup_gpus
    width = scenario.cluster.num_gpus // plan.pp
    inner = plan.degrees.expert_width
    return Replicas(
        group(scenario.dp * plan.cp * num_copies, plan.tp * scenario.spacing, per_node),
        group(width // inner * num_copies, inner * scenario.spacing, per_node),
    )


def shards(scenario: Scenario) -> Replicas:
    """Return the groups that share one copy: all replicas, or ``dp_shard`` of them.

    Parameters
    ----------
    scenario : Scenario
        Its plan, ``dp_shard`` above all, and GPUs of a node.

    Examples
    --------
    >>> from estimator.catalog.loading import load_scenario
    >>> shards(load_scenario("llama-3.1-405b")).shared.size
    128
    """
    plan, per_node = scenario.plan, scenario.cluster.node.scaleup_gpus
    whole = replicas(scenario)
    if not plan.dp_shard:
        return whole
    apart = scenario.spacing
    shared = group(plan.dp_shard * plan.cp, plan.tp * apart, per_node)
    inner = plan.degrees.expert_width
    width = plan.dp_shard * plan.cp * plan.tp
    return Replicas(shared, group(max(1, width // inner), inner * apart, per_node))


@dataclass(frozen=True)
class Window:
    """Computation that synchronisation can hide behind, in seconds."""

    backward_s: float
    """The last micro-batch's backward pass on the rank."""
    forward_s: float
    """The next step's first forward pass."""
    num_layers: int
    """Layers of the rank: what is left of the last one's cannot hide."""
    backward_lent: float = 0.0
    """What the backward pass loses of the time that a collective hides behind it."""
    forward_lent: float = 0.0
    backward_host_s: float = 0.0
    """What the host spends on the backward pass."""

    def behind_backward_s(self, seconds: float, checks_s: float = 0.0) -> float:
        """Return by how much ``seconds`` of a reduction lengthen the step.

        ``checks_s`` of the host come on top of what it does for the backward pass.

        >>> Window(backward_s=0.3, forward_s=0.1, num_layers=10).behind_backward_s(0.2)
        0.02
        """
        exposed_s = self._exposed_s(seconds, self.backward_s, self.backward_lent)
        if not checks_s:
            return exposed_s
        return largest(exposed_s, checks_s + self.backward_host_s - self.backward_s)

    def behind_forward_s(self, seconds: float) -> float:
        """Return by how much ``seconds`` of a gathering lengthen the step.

        >>> Window(backward_s=0.3, forward_s=0.1, num_layers=10).behind_forward_s(0.5)
        0.4
        """
        return self._exposed_s(seconds, self.forward_s, self.forward_lent)

    def _exposed_s(self, seconds: float, behind_s: float, lent: float) -> float:
        exposed = largest(seconds - behind_s, seconds / max(1, self.num_layers))
        return exposed + lent * (seconds - exposed)


class Travel(NamedTuple):
    """How gradients or weights travel among replicas."""

    members: Group
    links: Links
    host: Host
    num_parts: float

    def s(
        self,
        collective_s: Callable[[float, Group, Links], float],
        num_bytes: float,
        *,
        in_parts: bool,
    ) -> float:
        """Return the seconds of a collective, whole or in equal parts.

        The host checks a part while the one before it travels.

        Parameters
        ----------
        collective_s : callable
            Seconds of (bytes, group, links).
        num_bytes : float
            Of the full buffer.
        in_parts : bool
            Whether it travels in ``num_parts``, each with its own latency.
        """
        if self.members.size == 1:
            return 0.0
        parts = self.num_parts if in_parts else 1
        each_s = collective_s(num_bytes / parts, self.members, self.links)
        return parts * largest(each_s, self.host.check_s * self.members.size)

    @property
    def checks_s(self) -> float:
        """What the host spends on checks of all parts."""
        return self.num_parts * self.host.check_s * self.members.size


def optimizer_phase_s(
    scenario: Scenario,
    own: Held,
    num_copies: int,
    device: Device,
    links: Links,
    window: Window,
    parcels: Parcels = WHOLE,
    host: Host = NO_HOST,
) -> dict[OptimizerPart, float]:
    """Return the seconds of each part of the optimizer phase on one rank.

    Parameters
    ----------
    scenario : Scenario
        Its plan (``zero``, ``zero_reduction``, ``overlap``, ``gradient_passes``) and
        precision (format of gradients, moments, weights).
    own : Held
        Parameters of the rank, shared ones and experts.
    num_copies : int
        Pipeline ranks that hold the same ones.
    device : Device
        Bytes per second of the memory that the passes read and write.
    links : Links
        Over which gradients and weights travel.
    window : Window
        Seconds of computation that they can hide behind.
    parcels : Parcels
        In what they travel.
    host : Host
        Seconds of the host for a kernel, and for a rank of a collective that it checks.

    Returns
    -------
    dict of str to float
        By part, in the order in which they run: what the reduction of gradients and the
        gathering of weights add to the step, checks, passes over memory. Their sum is
        the phase's time.

    Notes
    -----
    A collective of n bytes that does not hide adds ``t(n)`` of
    :mod:`estimator.costs.collectives`; one that does ``e + lent (t - e)`` with ``e =
    max(t - window, t / layers)``; a pass over memory its bytes over the memory's rate:
    the norm and clipping 12 bytes a parameter of the shard, Adam 34 with FP32 moments,
    clearing the gradients' own size. Gradients are reduced in their own format, weights
    gathered in BF16; with ZeRO-1 a replica updates its shard only. ZeRO-2 and 3 have
    moved gradients and weights layer by layer; what replicas of a shard remain reduce
    them here. Range: Adam with an FP32 master weight, states on the GPU. Sources:
    Rajbhandari et al., "ZeRO," SC 2020; Megatron-LM and PyTorch as :func:`_passes`
    names them.

    Examples
    --------
    A billion parameters alone on an H100 by its datasheet: nothing travels.

    >>> from estimator.catalog.loading import load, load_scenario
    >>> from estimator.costs.rates import Layer, device, links
    >>> ours = load_scenario("gpt3-175b")
    >>> gpu = device(load("gpu", "h100-sxm"), Layer.SPECIFICATION)
    >>> wires = links(ours.cluster, Layer.SPECIFICATION, is_overlapped=False)
    >>> made = optimizer_phase_s(ours, Held(1e9, 0), 1, gpu, wires, Window(0, 0, 1))
    >>> f"Adam: {made['Adam'] * 1e3:.2f} ms"
    'Adam: 0.63 ms'
    """
    plan, software = scenario.plan, scenario.software
    gradient, sent = stored.gradient_bytes(scenario), stored.sent_bytes(scenario)
    ends = parcels.ends * (stored.HALF - sent)
    whole, sharded = replicas(scenario, num_copies), shards(scenario)
    spent: dict[OptimizerPart, float] = {}
    shard = 0.0
    parts = parcels.buckets
    for names, count, members, sharers, num_parts, more in (
        (OF_SHARED, own.shared, whole.shared, sharded.shared, parts.shared, ends),
        (OF_EXPERTS, own.experts, whole.experts, sharded.experts, parts.experts, 0.0),
    ):
        if not count:
            continue
        held_here = count / members.size if plan.zero else count
        if plan.zero > 1:
            held_here = count / sharers.size
            rest = members.size // sharers.size
            if rest > 1:
                between = Group(rest, 1)
                seconds = all_reduce_s(held_here * gradient, between, links)
                seconds = window.behind_backward_s(seconds)
                spent[names.reduce] = seconds
        elif plan.zero:
            travel = Travel(members, links, host, num_parts)
            moved = Moved(count * gradient, count * sent + more)
            spent |= _zero_1(software, names, moved, travel, window)
        else:
            travel = Travel(members, links, host, num_parts)
            is_hidden = software.gradients.overlaps_reduction
            seconds = travel.s(all_reduce_s, count * gradient, in_parts=is_hidden)
            if is_hidden:
                seconds = window.behind_backward_s(seconds, travel.checks_s)
            spent[names.reduce] = seconds
        shard += held_here
    if host.check_s:  # of a barrier, of the loss and of the gradients' norm
        ranks = scenario.cluster.num_gpus + whole.shared.size + plan.tp * plan.pp
        spent[OptimizerPart.OTHER_CHECKS] = host.check_s * ranks
    here = shard if plan.zero > 1 else own.shared + own.experts
    is_shared = whole.shared.size > 1
    passes = _passes(scenario, shard, here, is_shared=is_shared)
    for part, num_bytes in passes.items():
        spent[part] = num_bytes / device.hbm_bytes_per_s
    return spent


def _passes(
    scenario: Scenario, shard: float, here: float, *, is_shared: bool
) -> dict[OptimizerPart, float]:
    """Return the bytes that each pass over memory moves, for ``shard`` of ``here``.

    The norm reads the FP32 gradient, clipping reads and writes it; Adam reads it, reads
    and writes master weight and both moments; a copy is made of the master weight
    (Megatron-LM, commit d98e8a6, ``core/optimizer/clip_grads.py``,
    ``distrib_optimizer.py``; PyTorch's ``clip_grad_norm_``). Gradients that stay are
    cleared, copies of the weights in the recipe's format made. Only 16-bit gradients of
    whole replicas are copied into buckets (PyTorch's DDP); FP16 has a loss scale.
    """
    software = scenario.software
    gradient = stored.gradient_bytes(scenario)
    storage = software.storage
    moments = 4 * stored.MOMENT[storage.moments]
    updated: float = 2 * stored.HALF  # read and written
    if storage.main_weights == "fp32":
        updated = 3 * MASTER + stored.sent_bytes(scenario)  # and read for a copy
    widened = gradient + MASTER if gradient < MASTER else 0
    cleared = gradient * software.gradients.are_preallocated
    own: dict[GradientPass, tuple[OptimizerPart, float]] = {
        "average": (OptimizerPart.AVERAGE, 2 * gradient * here * is_shared),
        "check": (OptimizerPart.CHECK, gradient * here),
        "unscale": (OptimizerPart.UNSCALE, 2 * MASTER * shard),
        "bucket": (OptimizerPart.BUCKET, 2 * 4 * here * is_shared),
    }
    passes = [*software.gradients.passes]
    if scenario.precision.recipe == "fp16":
        passes.append("unscale")
    if scenario.plan.zero and "bucket" in passes:
        passes.remove("bucket")
    return dict(own[name] for name in passes) | {
        OptimizerPart.NORM: (widened + 3 * MASTER) * shard,
        OptimizerPart.ADAM: (MASTER + updated + moments) * shard,
        OptimizerPart.CLEAR: (cleared + stored.cast_bytes(scenario)) * here,
    }


class Moved(NamedTuple):
    """Bytes that travel between replicas."""

    gradient_bytes: float
    weight_bytes: float


def _zero_1(
    software: Software,
    names: OptimizerCollectives,
    moved: Moved,
    travel: Travel,
    window: Window,
) -> dict[OptimizerPart, float]:
    """Return the reduction of gradients and the all-gather of weights.

    All-reduces wait for the backward pass, whatever the software overlaps. Weights that
    are gathered one by one, as lists, are copied out of their pieces by the host
    (huggingface/nanotron, commit 67c5ebb, ``optim/zero.py``).
    """
    is_scattered = software.gradients.reduction == "reduce-scatter"
    is_hidden = software.gradients.overlaps_reduction and is_scattered
    reduce_s = all_gather_s if is_scattered else all_reduce_s
    scatter_s = travel.s(reduce_s, moved.gradient_bytes, in_parts=is_hidden)
    gather_s = travel.s(
        all_gather_s, moved.weight_bytes, in_parts=software.gradients.overlaps_gather
    )
    if is_hidden:
        scatter_s = window.behind_backward_s(scatter_s, travel.checks_s)
    if software.gradients.overlaps_gather:
        gather_s = window.behind_forward_s(gather_s)
    if software.storage.shard_buffer == "pieces":
        pieces = (WEIGHTS_OF_LAYER + NORMS_OF_LAYER) * window.num_layers
        pieces *= travel.members.size
        gather_s += travel.host.piece_calls * pieces * travel.host.dispatch_s
    return {
        names.scatter if is_scattered else names.reduce: scatter_s,
        names.gather: gather_s,
    }
