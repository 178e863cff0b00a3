"""Durations of every chunk of a step, worked out from its operations when asked for.

A chunk is one micro-batch on one stage: its forward (F), backward (B), input (I) or
weight (W) pass, or the overlapped pair of a forward and a backward chunk.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
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
from estimator.costs.rates import Device, Layer, Links, device, links, slowest
from estimator.engine.operations import Operation, Stream, play
from estimator.ground.errors import InfeasibleError
from estimator.ground.lanes import largest
from estimator.schedules.notation import Op, Program
from estimator.specs.scenario import Scenario
from estimator.workload import ends
from estimator.workload.context import exposed_s, kv_width
from estimator.workload.host import Host, host
from estimator.workload.layers import layer_segments
from estimator.workload.memory import chunk_activations
from estimator.workload.pairs import Pair, Times, weight_pass
from estimator.workload.sharding import Sharding, sharding
from estimator.workload.stages import Element, elements
from estimator.workload.work import Segment, Sizes, sizes

HOST = "host launches"
"""What time is booked under in which the GPU waits for the host."""


SENDS = "exposed pipeline"
"""What time is booked under in which a stage waits for its send."""


class LayerTimes(NamedTuple):
    """Seconds of one layer's segments on the compute stream."""

    mixer_forward: Times
    ffn_forward: Times
    ffn_input: Times
    ffn_weight: Times
    mixer_input: Times
    mixer_weight: Times
    ffn_again: Times


@dataclass
class Chunks:
    """A scenario's chunks at one layer of constants."""

    stages: tuple[tuple[Element, ...], ...]
    size: Sizes
    device: Device
    links: Links
    exchange: AllToAll | None
    """The expert all-to-all of one layer; None where all experts are local."""
    is_overlapped: bool
    """Whether pairs hide it."""
    tensor_s: float
    """Seconds of one tensor-parallel all-gather or reduce-scatter."""
    all_reduce_s: float
    """Seconds of one all-reduce, where the sequence is not split."""
    gather_s: float
    """The same for an all-gather in the recipe's format."""
    tensor_copy_s: float
    """Seconds to bring what it gathers or scatters into another order; 0 if it need
    not be."""
    loss_reduce_s: float
    """Seconds in which ranks that share the vocabulary agree on the loss."""
    expert_tensor_s: float
    """The same for rows of an expert-tensor-parallel group."""
    context_s: float
    """Seconds in which keys and values of all other ranks arrive."""
    sharding: Sharding | None
    """Weights gathered for each layer (ZeRO-2 and 3); None where they stay."""
    send_bytes: float
    ranks_per_node: float
    """Pipeline ranks that share a node."""
    offload_bytes_per_s: float
    """To host memory and back; 0 where nothing is offloaded."""
    host: Host
    _times: dict[tuple[str, int, int], LayerTimes] = field(default_factory=dict)
    _ends: dict[tuple[str, str, int], Times] = field(default_factory=dict)
    _seconds: dict[tuple[str, int, int], float] = field(default_factory=dict)
    _operations: dict[tuple[str, int, int], tuple[Operation, ...]] = field(
        default_factory=dict
    )
    _first: dict[int, int] = field(default_factory=dict)

    @property
    def num_comm_sms(self) -> int:
        """SMs that communication takes from the computation beside it.

        None where its cores are large: engines of their own communicate.
        """
        return 0 if self.device.has_large_cores else self.size.plan.num_comm_sms

    @property
    def tensor_bytes(self) -> float:
        """Bytes of the activations that a tensor-parallel collective gathers."""
        return 2.0 * self.size.model.hidden_size * self.size.tokens

    def seconds(self, op: str, stage: int, partner: int = -1) -> float:
        """Return the duration of an instruction class, or of a send between ranks."""
        if op == "SEND":
            is_hidden = self.size.plan.overlap.pipeline
            return self._send_s(stage, partner) if is_hidden else 0.0
        key = (op, self._alike(stage), self._alike(partner))
        if key not in self._seconds:
            self._seconds[key] = play(self.operations(op, stage, partner)).makespan_s
        return self._seconds[key]

    def _send_s(self, rank: int, other: int) -> float:
        return send_s(
            self.send_bytes,
            self.links,
            is_inside_node=self._same_node(rank, other),
            span=self._span(rank, other),
        )

    def pair_s(self, num_bytes: float, rank: int, other: int) -> float:
        """Return the seconds of an all-reduce between two pipeline ranks."""
        if rank == other:
            return 0.0
        per_node = 2 if self._same_node(rank, other) else 1
        pair = Group(2, per_node, self._span(rank, other))
        return all_reduce_s(num_bytes, pair, self.links)

    def offloaded_bytes(self, parts: tuple[Element, ...]) -> float:
        """Return the activations of one micro-batch that go to host memory."""
        share = self.size.plan.activation_offload
        return share and share * chunk_activations(self.size, parts).total

    def _alike(self, stage: int) -> int:
        """Return the first stage that looks the same: they share their durations."""
        if stage < 0:
            return stage
        if not self._first:
            looks: dict[object, int] = {}
            for index, parts in enumerate(self.stages):
                look = tuple(element.look for element in parts)
                self._first[index] = looks.setdefault(look, index)
        return self._first[stage]

    def _span(self, rank: int, other: int) -> int:
        """Return the GPUs from the first of one rank's to the last of the other's."""
        width = self.links.gpus_per_node / self.ranks_per_node
        return round((abs(rank - other) + 1) * width)

    def _same_node(self, rank: int, other: int) -> bool:
        return int(rank // self.ranks_per_node) == int(other // self.ranks_per_node)

    def busy_by_kind(self, op: str, stage: int, partner: int = -1) -> dict[str, float]:
        """Return the seconds of a class by kind, exposed communication among them.

        What is exposed is split in proportion to the kinds of communication inside.
        """
        spent: defaultdict[str, float] = defaultdict(float)
        away: defaultdict[str, float] = defaultdict(float)
        queued = self._queued(op, self._alike(stage), self._alike(partner))
        queued += self._sends(op, stage, queued)
        for operation in queued:
            is_compute = operation.stream is Stream.COMPUTE
            for kind, seconds in operation.parts:
                (spent if is_compute else away)[kind] += seconds
        alone = play(queued).makespan_s
        exposed = alone - sum(spent.values())
        total = sum(away.values())
        for kind, seconds in away.items():
            name = "all-to-all" if kind == "rank skew" else kind
            if seconds:
                spent[f"exposed {name}"] += max(0.0, exposed) * seconds / total
        late = self.seconds(op, stage, partner) - alone
        if late > 0:
            spent[HOST] += late
        return dict(spent)

    def operations(self, op: str, stage: int, partner: int = -1) -> list[Operation]:
        """Return the operations of an instruction class, in stream order."""
        made = self._queued(op, stage, partner)
        made += self._launches(made)
        return made + self._sends(op, stage, made)

    def _queued(self, op: str, stage: int, partner: int) -> list[Operation]:
        key = (op, stage, partner)
        if key not in self._operations:
            made = self._beside_collectives(self._kernels(op, stage, partner))
            self._operations[key] = tuple(made)
        return list(self._operations[key])

    def _kernels(self, op: str, stage: int, partner: int) -> list[Operation]:
        parts = self.stages[stage]
        if op == Op.FB:
            return Pair(self, parts, self.stages[partner]).operations()
        if op == Op.F:
            return Pair(self, parts, ()).operations()
        if op == Op.W:
            return weight_pass(self, parts)
        return Pair(self, (), parts, has_weights=op == Op.B).operations()

    def _sends(self, op: str, stage: int, made: list[Operation]) -> list[Operation]:
        """Return the send that a chunk waits for where nothing hides it."""
        plan, last = self.size.plan, len(self.stages) - 1
        has_next = (op == Op.F and stage < last) or (op in (Op.B, Op.I) and stage > 0)
        if plan.pp == 1 or plan.overlap.pipeline or not has_next or not made:
            return []
        seconds = self._send_s(0, 1)
        return [
            Operation(
                "send",
                Stream.COMPUTE,
                seconds,
                tuple(range(len(made))),
                ((SENDS, seconds),),
                made[-1].op,
                num_bytes=self.send_bytes,
            )
        ]

    def lent_share(self, chunks: Sequence[tuple[str, int]]) -> float:
        """Return what chunks lose of the time that a collective runs beside them.

        Lost are the collective's SMs, of matrix products only: attention and
        memory-bound kernels keep their pace (trace of deepseek-ai/profile-data).
        NCCL's blocks share no SM with other kernels (NVIDIA/nccl, issue 689; in issue
        1432 15 % are taken).
        """
        if not self.num_comm_sms:
            return 0.0
        kinds = Counter((op, self._alike(stage)) for op, stage in chunks)
        gemm_s = sum(
            count * _gemm_s(self.operations(*chunk)) for chunk, count in kinds.items()
        )
        wall_s = sum(self.seconds(*chunk) for chunk in chunks)
        share = self.num_comm_sms / self.device.num_sms
        return share * gemm_s / wall_s if gemm_s else 0.0

    def _beside_collectives(self, made: list[Operation]) -> list[Operation]:
        """Return the operations, products as slow as collectives beside them make them.

        Expert exchanges have their own account: products beside them are timed on the
        SMs that are left.
        """
        compute_s = beside_s = 0.0
        is_beside = False
        for operation in made:
            if operation.stream is Stream.COMPUTE:
                compute_s += operation.seconds
            elif operation.stream in (Stream.WEIGHTS, Stream.COMMUNICATION) and not any(
                kind == "all-to-all" for kind, _ in operation.parts
            ):
                beside_s += operation.seconds
                is_beside = True
        if not self.num_comm_sms or not is_beside:
            return made
        wall_s = play(
            [step for step in made if step.stream is not Stream.HOST]
        ).makespan_s
        hidden_s = largest(0.0, beside_s - (wall_s - compute_s))
        share = self.num_comm_sms / self.device.num_sms
        longer = share * hidden_s / wall_s
        return [_stretched(operation, longer) for operation in made]

    def host_s(self, op: str, stage: int) -> float:
        """Return what the host spends on the kernels and collectives of a class."""
        return self._host_s(self._queued(op, self._alike(stage), -1))

    def _host_s(self, made: Iterable[Operation]) -> float:
        if self.size.plan.launch == "graph":
            return 0.0
        dispatch_s, check_s = self.host
        return sum(
            dispatch_s * step.num_kernels + check_s * step.num_checked for step in made
        )

    def _launches(self, made: list[Operation]) -> list[Operation]:
        """Return the host's work for these operations, where it holds them up."""
        seconds = self._host_s(made)
        if not seconds:
            return []
        is_blocking = self.size.plan.launch == "blocking"
        if not is_blocking and seconds <= play(made).makespan_s:
            return []
        return [
            Operation(
                "launches",
                Stream.COMPUTE if is_blocking else Stream.LAUNCH,
                seconds,
                tuple(range(len(made))) if is_blocking else (),
                ((HOST, seconds),),
                made[-1].op,
            )
        ]

    def layer(self, element: Element, num_sms: int) -> LayerTimes:
        """Return a layer's segment times on ``num_sms`` SMs."""
        key = (*element.look, num_sms)
        if key not in self._times:
            segments = layer_segments(self.size, element)
            self._times[key] = LayerTimes(
                *(
                    self._timed(
                        segment,
                        num_sms,
                        self._extra(element, index, segment),
                        self._checked(element, index),
                    )
                    for index, segment in enumerate(segments)
                )
            )
        return self._times[key]

    def _extra(
        self, element: Element, index: int, segment: Segment
    ) -> dict[str, float]:
        """Return what a segment waits for beside its kernels."""
        if element.feed_forward == "moe" and index in (1, 2, 6):
            return {"exposed tensor-parallel": self._expert_collectives_s(index)}
        if element.mixer == "attention" and index in (0, 4) and self.context_s:
            core_s = sum(
                kernel.seconds(self.device, self.device.num_sms)
                for kernel in segment
                if kernel.kind == "attention"
            )
            late_s = exposed_s(
                self.size, self.context_s, core_s, is_backward=index == 4
            )
            return {"exposed context": late_s}
        return {}

    def _expert_collectives_s(self, index: int) -> float:
        """Return the seconds of tensor-parallel collectives in a block of experts.

        Routed experts wait for theirs. Shared ones are a block like a dense one.
        """
        rounds = 3 if index == 2 else 2  # backward, inputs are gathered again
        routed_s = self.expert_tensor_s * rounds
        if not self.size.moe.shared_width:
            return routed_s
        if index == 2 and self.size.plan.overlap.tensor != "none":
            rounds = 1  # behind gradients of inputs and weights
        return routed_s + self.tensor_s * rounds

    def _checked(self, element: Element, index: int) -> int:
        """Return the ranks of the collectives that :meth:`_extra` waits for."""
        if element.feed_forward != "moe" or index not in (1, 2, 6):
            return 0
        rounds, plan = 3 if index == 2 else 2, self.size.plan
        routed = plan.etp if plan.etp > 1 else 0
        shared = plan.tp if plan.tp > 1 and self.size.moe.shared_width else 0
        return rounds * (routed + shared)

    def end(self, kind: str, op: str, num_sms: int) -> Times:
        """Return the time of an embedding's or head's pass."""
        key = (kind, op, num_sms)
        if key not in self._ends:
            segment = ends.segment(self.size, kind, op)
            self._ends[key] = self._timed(segment, num_sms, {})
        return self._ends[key]

    def _timed(
        self,
        segment: Segment,
        num_sms: int,
        extra: Mapping[str, float],
        num_checked: int = 0,
    ) -> Times:
        kinds: defaultdict[str, float] = defaultdict(float, extra)
        for kernel, count in Counter(segment).items():  # experts have the same ones
            kinds[kernel.kind] += count * kernel.seconds(self.device, num_sms)
        return Times(
            sum(kinds.values()),
            {kind: seconds for kind, seconds in kinds.items() if seconds},
            sum(kernel.flop for kernel in segment),
            sum(kernel.num_bytes for kernel in segment),
            sum(kernel.num_kernels for kernel in segment),
            num_checked,
        )


def _gemm_s(made: Iterable[Operation]) -> float:
    """Return the seconds of matrix products among operations."""
    return sum(
        seconds
        for operation in made
        if operation.stream is Stream.COMPUTE
        for kind, seconds in operation.parts
        if kind == "gemm"
    )


def _stretched(operation: Operation, longer: float) -> Operation:
    """Return an operation on the compute stream whose products take longer."""
    if operation.stream is not Stream.COMPUTE:
        return operation
    parts = tuple(
        (kind, seconds * (1 + longer) if kind == "gemm" else seconds)
        for kind, seconds in operation.parts
    )
    added = sum(seconds for _, seconds in parts) - sum(
        seconds for _, seconds in operation.parts
    )
    return operation._replace(seconds=operation.seconds + added, parts=parts)


def chunks(
    scenario: Scenario, seq_len: int, made: Program, layer: Layer = Layer.IN_SITU
) -> Chunks:
    """Return the chunks of a scenario's step at one layer of constants.

    Raises
    ------
    InfeasibleError
        If the layout does not fit, or the GPU lacks the number format.
    """
    plan, node = scenario.plan, scenario.cluster.node
    size = sizes(scenario, seq_len)
    rates = device(node.gpu, layer)
    if layer is not Layer.SPECIFICATION:
        most = device(node.gpu, Layer.SPECIFICATION)
        rates = rates.matured(plan.software_maturity, most)
    spread = node.gpu.in_situ.clock_spread
    if layer is Layer.IN_SITU and spread and plan.ep == 1:  # else in the rank skew
        rates = rates.clocked(slowest(spread.value, scenario.cluster.num_gpus))
    for dtype in {size.format.dtype, "bf16"} - set(rates.gemm_flop_per_s):
        raise InfeasibleError(
            f"{node.gpu.title} has no {dtype} rate in its file",
            fix="precision.recipe: bf16",
        )
    is_overlapped = plan.overlap.expert_all_to_all and made.has_pairs
    ways = links(scenario.cluster, layer, is_overlapped=is_overlapped)
    per_node = node.scaleup_gpus
    row_bytes = 2.0 * scenario.model.hidden_size
    experts, tensor = group(plan.etp, 1, per_node), group(plan.tp, 1, per_node)
    return Chunks(
        stages=elements(scenario, made.num_stages),
        size=size,
        device=rates,
        links=ways,
        exchange=_exchange(size, ways),
        is_overlapped=is_overlapped,
        tensor_s=all_gather_s(row_bytes * size.tokens, tensor, ways),
        all_reduce_s=all_reduce_s(row_bytes * size.tokens, tensor, ways),
        gather_s=all_gather_s(_gathered_bytes(size), tensor, ways),
        tensor_copy_s=_tensor_copy_s(size, rates),
        loss_reduce_s=ends.LOSS_REDUCTIONS[plan.loss_kernel]
        * all_reduce_s(4.0 * size.tokens, tensor, ways),
        expert_tensor_s=all_gather_s(row_bytes * size.routed_rows, experts, ways)
        if plan.etp > 1
        else 0.0,
        context_s=_context_s(size, ways, plan.stride("cp", scenario.dp)),
        sharding=sharding(scenario, ways, rates) if plan.zero > 1 else None,
        send_bytes=row_bytes * size.split_tokens,
        ranks_per_node=per_node / plan.stride("pp", scenario.dp),
        offload_bytes_per_s=(
            _offload_bytes_per_s(scenario, layer) if made.runs_backward else 0.0
        ),
        host=host(scenario, layer),
    )


def _gathered_bytes(size: Sizes) -> float:
    """Return the bytes of the activations that tensor-parallel ranks gather.

    They travel as they are kept. Transformer Engine casts them before (v1.0 and
    d0067d0, ``layernorm_linear.py``), as torchao does where a tensor has one scale
    (36027d8, ``float8_tensor_parallel.py``).
    """
    return size.format.kept * size.model.hidden_size * size.tokens


def _tensor_copy_s(size: Sizes, rates: Device) -> float:
    """Return the seconds of the copy that a collective along the sequence needs.

    Ranks' parts arrive one after the other, and are cut apart before they leave:
    PyTorch 2.13, ``_functional_collectives.py``, ``all_gather_single`` and
    ``reduce_scatter_single`` with a dimension that is not the first.
    """
    if not size.plan.batch_first or size.tp == 1:
        return 0.0
    moved = 2 * 2.0 * size.model.hidden_size * size.tokens
    return moved / rates.hbm_bytes_per_s


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


def _exchange(size: Sizes, ways: Links) -> AllToAll | None:
    model, plan = size.model, size.plan
    if model.moe is None or plan.ep == 1 or size.places is None:
        return None
    if plan.expert_dispatch == "all-to-all":
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


def _context_s(size: Sizes, ways: Links, apart: int) -> float:
    """Return the seconds in which a rank receives the others' keys and values."""
    cp = size.plan.cp
    if cp == 1:
        return 0.0
    whole = 2.0 * size.tokens * cp * kv_width(size)
    return all_gather_s(whole, group(cp, apart, ways.gpus_per_node), ways)
