"""What the ranks of a step tell each other: sizes and seconds of every exchange."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from estimator.costs.all_to_all import AllToAll, ExpertRanks, Sent, all_to_all
from estimator.costs.collectives import (
    Group,
    all_gather_s,
    all_reduce_s,
    direct_all_to_all_s,
    group,
    send_s,
)
from estimator.costs.rates import Device, Layer, Links, links
from estimator.ground.errors import InfeasibleError
from estimator.schedules.notation import Program
from estimator.specs.scenario import Scenario
from estimator.workload.context import kv_width
from estimator.workload.ends import LOSS_REDUCTIONS, loss_kernel
from estimator.workload.sharding import Sharding, sharding
from estimator.workload.work import Sizes


class Collective(StrEnum):
    """What tensor-parallel ranks do together."""

    GATHER = "all-gather"
    SCATTER = "reduce-scatter"
    REDUCE = "all-reduce"


class Moved(NamedTuple):
    """One collective."""

    seconds: float
    num_bytes: float
    copy_s: float
    """To bring what it gathers or scatters into another order; 0 if it need not be."""


class TensorParallel(NamedTuple):
    """Collectives of one micro-batch's activations; no time where one rank has all."""

    split_s: float
    """One all-gather or reduce-scatter in 16 bits."""
    gather_s: float
    """One all-gather in the recipe's format."""
    all_reduce_s: float
    """One all-reduce, where the sequence is not split."""
    copy_s: float
    """To bring what one moves into another order; 0 if it need not be."""
    loss_s: float
    """Ranks that share the vocabulary agree on the loss."""
    experts_s: float
    """One all-gather of the rows of an expert-tensor-parallel group."""
    num_bytes: float
    """What one collective gathers."""

    def moved(self, collective: Collective, *, is_layer: bool) -> Moved:
        """Return one collective; vectors of the model's ends travel in 16 bits."""
        if collective is Collective.GATHER and is_layer:
            copy_s = self.copy_s * (self.gather_s / self.split_s)
            return Moved(self.gather_s, self.num_bytes, copy_s)
        if collective is Collective.REDUCE:
            return Moved(self.all_reduce_s, 2 * self.num_bytes, 0.0)
        return Moved(self.split_s, self.num_bytes, self.copy_s)


@dataclass(frozen=True, eq=False)
class Exchanges:
    """The communication of a step at one layer of constants."""

    links: Links
    tensor: TensorParallel
    context_s: float
    """Keys and values of all other ranks arrive."""
    experts: AllToAll | None
    """The expert all-to-all of one layer; None where all experts are local."""
    is_overlapped: bool
    """Whether pairs hide it."""
    sharding: Sharding | None
    """Weights gathered for each layer (ZeRO-2 and 3); None where they stay."""
    send_bytes: float
    """Of a message between two stages."""
    rejoin_s: float
    """In which tensor-parallel ranks gather such messages, a part of one each; 0 where
    each gets what it needs."""
    ranks_per_node: float
    """Pipeline ranks that share a node."""
    offload_bytes_per_s: float
    """To host memory and back; 0 where nothing is offloaded."""

    def send_s(self, rank: int, other: int) -> float:
        """Return the seconds of a message between two pipeline ranks."""
        moved_s = send_s(
            self.send_bytes,
            self.links,
            is_inside_node=self._same_node(rank, other),
            span=self._span(rank, other),
        )
        return moved_s + self.rejoin_s

    def pair_s(self, num_bytes: float, rank: int, other: int) -> float:
        """Return the seconds of an all-reduce between two pipeline ranks."""
        if rank == other:
            return 0.0
        per_node = 2 if self._same_node(rank, other) else 1
        pair = Group(2, per_node, self._span(rank, other))
        return all_reduce_s(num_bytes, pair, self.links)

    def _span(self, rank: int, other: int) -> int:
        """Return the GPUs from the first of one rank's to the last of the other's."""
        width = self.links.gpus_per_node / self.ranks_per_node
        return round((abs(rank - other) + 1) * width)

    def _same_node(self, rank: int, other: int) -> bool:
        return int(rank // self.ranks_per_node) == int(other // self.ranks_per_node)


def exchanges(
    scenario: Scenario, size: Sizes, made: Program, device: Device, layer: Layer
) -> Exchanges:
    """Return what a step's ranks tell each other.

    Raises
    ------
    InfeasibleError
        If activations go to the host and nobody measured how fast.
    """
    plan, per_node = scenario.plan, scenario.cluster.node.scaleup_gpus
    is_overlapped = scenario.software.communication.experts and made.has_pairs
    ways = links(scenario.cluster, layer, is_overlapped=is_overlapped)
    tensor = _tensor(size, ways, device)
    is_parted = (
        scenario.software.communication.splits_sends and not plan.sequence_parallel
    )
    whole = 2.0 * size.model.hidden_size * size.split_tokens
    return Exchanges(
        links=ways,
        tensor=tensor,
        context_s=_context_s(size, ways, plan.stride("cp", scenario.dp)),
        experts=_experts(size, ways),
        is_overlapped=is_overlapped,
        sharding=sharding(scenario, ways, device) if plan.zero > 1 else None,
        send_bytes=whole / plan.tp if is_parted else whole,
        rejoin_s=tensor.split_s if is_parted else 0.0,
        ranks_per_node=per_node / plan.stride("pp", scenario.dp),
        offload_bytes_per_s=(
            _offload_bytes_per_s(scenario, layer) if made.runs_backward else 0.0
        ),
    )


def _tensor(size: Sizes, ways: Links, device: Device) -> TensorParallel:
    plan, row_bytes = size.plan, 2.0 * size.model.hidden_size
    members = group(plan.tp, 1, ways.gpus_per_node)
    experts_s = 0.0
    if plan.etp > 1:
        sharers = group(plan.etp, 1, ways.gpus_per_node)
        experts_s = all_gather_s(row_bytes * size.routed_rows, sharers, ways)
    reductions = LOSS_REDUCTIONS[loss_kernel(size)]
    return TensorParallel(
        split_s=all_gather_s(row_bytes * size.tokens, members, ways),
        gather_s=all_gather_s(_gathered_bytes(size), members, ways),
        all_reduce_s=all_reduce_s(row_bytes * size.tokens, members, ways),
        copy_s=_copy_s(size, device),
        loss_s=reductions * all_reduce_s(4.0 * size.tokens, members, ways),
        experts_s=experts_s,
        num_bytes=row_bytes * size.tokens,
    )


def _gathered_bytes(size: Sizes) -> float:
    """Return the bytes of the activations that tensor-parallel ranks gather.

    They travel as they are kept. Transformer Engine casts them before (v1.0 and
    d0067d0, ``layernorm_linear.py``), as torchao does where a tensor has one scale
    (36027d8, ``float8_tensor_parallel.py``).
    """
    return size.format.kept * size.model.hidden_size * size.tokens


def _copy_s(size: Sizes, device: Device) -> float:
    """Return the seconds of the copy that a collective along the sequence needs.

    Ranks' parts arrive one after the other, and are cut apart before they leave:
    PyTorch 2.13, ``_functional_collectives.py``, ``all_gather_single`` and
    ``reduce_scatter_single`` with a dimension that is not the first.
    """
    if not size.software.communication.batch_first or size.tp == 1:
        return 0.0
    moved = 2 * 2.0 * size.model.hidden_size * size.tokens
    return moved / device.hbm_bytes_per_s


def _context_s(size: Sizes, ways: Links, apart: int) -> float:
    """Return the seconds in which a rank receives the others' keys and values."""
    cp = size.plan.cp
    if cp == 1:
        return 0.0
    whole = 2.0 * size.tokens * cp * kv_width(size)
    return all_gather_s(whole, group(cp, apart, ways.gpus_per_node), ways)


def _experts(size: Sizes, ways: Links) -> AllToAll | None:
    model, plan = size.model, size.plan
    if model.moe is None or plan.ep == 1 or size.places is None:
        return None
    if size.software.experts.dispatch == "all-to-all":
        rows = size.expert_tokens * model.moe.experts_per_token * plan.busiest
        num_bytes = 2.0 * model.hidden_size * rows
        members = Group(plan.ep, max(1, plan.ep // size.num_nodes))
        seconds = direct_all_to_all_s(num_bytes, members, ways)
        return AllToAll(seconds, seconds, 0.0, 0.0, num_bytes, num_bytes)
    sent = Sent(
        num_tokens=size.expert_tokens,
        hidden_size=model.hidden_size,
        experts_per_token=model.moe.experts_per_token,
        dispatch_bytes=size.format.sent,
        combine_bytes=2.0,
        imbalance=plan.busiest,
    )
    return all_to_all(ways, sent, ExpertRanks(plan.ep, size.num_nodes, size.places))


def _offload_bytes_per_s(scenario: Scenario, layer: Layer) -> float:
    if not scenario.plan.activation_offload:
        return 0.0
    rate = scenario.cluster.node.offload_bytes_per_s
    if rate is None:
        raise InfeasibleError(
            f"{scenario.cluster.node.title} has no rate to host memory in its file",
            fix="plan.activation_offload: 0",
        )
    return rate.high if layer is Layer.SPECIFICATION else rate.value
