"""A stage's layers to the operations of its chunks, and their durations.

A chunk is one micro-batch on one stage. Its forward (F), backward (B), input (I) and
weight (W) passes, and the overlapped pair of a forward and a backward chunk, are lists
of operations on a compute and a communication stream. The pair follows DeepSeek's
order: while one chunk computes, the other's tokens travel.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import NamedTuple

from estimator.costs.all_to_all import AllToAll, all_to_all
from estimator.costs.collectives import all_gather_s, group, send_s
from estimator.costs.rates import Device, Layer, Links, device, links
from estimator.errors import InfeasibleError
from estimator.schedules.ir import Op
from estimator.specs.layout import EVEN, even_layout, parse_layout
from estimator.specs.scenario import Scenario
from estimator.workload import attention, ends, feed_forward
from estimator.workload.operations import Operation, Stream, play
from estimator.workload.work import Segment, Sizes, sizes

TENSOR_COLLECTIVES = {
    "dense": (2, 2, 3, 0, 3, 0),
    "moe": (2, 0, 0, 0, 3, 0),
    "mtp": (2, 0, 0, 0, 3, 0),
}
"""All-gathers and reduce-scatters of each segment of :class:`LayerTimes`: one on either
side of a block, and backward one more to gather its input again. Experts are not
split."""
SCALES = 4 / 128
"""Bytes of scales per FP8 element: one FP32 for 128."""


class Times(NamedTuple):
    """Seconds of a segment, and what they go to by kind of kernel."""

    seconds: float
    kinds: Mapping[str, float]


class LayerTimes(NamedTuple):
    """Seconds of one layer's segments on the compute stream."""

    attention_forward: Times
    mlp_forward: Times
    mlp_input: Times
    mlp_weight: Times
    attention_input: Times
    attention_weight: Times


class Element(NamedTuple):
    """A part of a stage: ``dense``, ``moe`` or ``mtp`` layer, embedding or head."""

    kind: str
    name: str

    @property
    def is_layer(self) -> bool:
        """Whether it has attention and a feed-forward block."""
        return self.kind in ("dense", "moe", "mtp")


def elements(scenario: Scenario, num_stages: int) -> tuple[tuple[Element, ...], ...]:
    """Return what each stage holds.

    Raises
    ------
    InfeasibleError
        If the layout has another number of stages, or there are too few layers.
    """
    model, text = scenario.model, scenario.plan.stage_layout
    if text == EVEN:
        stages = even_layout(model.num_layers, model.num_mtp_modules, num_stages)
    else:
        stages = parse_layout(text)
    if len(stages) != num_stages:
        raise InfeasibleError(
            f"plan.stage_layout has {len(stages)} stages, but "
            f"{scenario.plan.schedule} on {scenario.plan.pp} ranks runs {num_stages}",
            fix="plan.stage_layout: even",
        )
    if not all(stages):
        raise InfeasibleError(
            f"{num_stages} stages are more than {model.num_layers} layers can fill",
            fix=f"plan.pp: {model.num_layers}",
        )
    kinds, number = model.layer_kinds, 0
    made = []
    for stage in stages:
        held = []
        for symbol in stage:
            if symbol == "t":
                held.append(Element(kinds[number], f"layer {number}"))
                number += 1
            elif symbol == "m":
                held += [Element("mtp", "MTP layer"), Element("head", "MTP head")]
            else:
                held.append(
                    Element("embedding", "embedding")
                    if symbol == "E"
                    else Element("head", "head")
                )
        made.append(tuple(held))
    return tuple(made)


@dataclass
class Chunks:
    """Durations of every chunk of a scenario's step, worked out when asked for."""

    stages: tuple[tuple[Element, ...], ...]
    size: Sizes
    device: Device
    links: Links
    exchange: AllToAll | None
    """The expert all-to-all of one layer; None where all experts are local."""
    num_comm_sms: int
    is_overlapped: bool
    tensor_s: float
    """Seconds of one tensor-parallel all-gather or reduce-scatter."""
    send_bytes: float
    ranks_per_node: float
    """Pipeline ranks that share a node."""
    _times: dict[tuple[str, int], LayerTimes] = field(default_factory=dict)
    _ends: dict[tuple[str, str, int], Times] = field(default_factory=dict)
    _seconds: dict[tuple[str, int, int], float] = field(default_factory=dict)

    def seconds(self, op: str, stage: int, partner: int = -1) -> float:
        """Return the duration of an instruction class, or of a send between ranks."""
        key = (op, *self._signature(op, stage, partner))
        if key not in self._seconds:
            if op == "SEND":
                self._seconds[key] = send_s(
                    self.send_bytes,
                    self.links,
                    is_inside_node=self._same_node(stage, partner),
                    span=self._span(stage, partner),
                )
            else:
                made = self.operations(op, stage, partner)
                self._seconds[key] = play(made).makespan_s
        return self._seconds[key]

    def _signature(self, op: str, stage: int, partner: int) -> tuple[int, int]:
        """Return the first stages that look the same: they share their durations."""
        if op == "SEND":
            return (stage, partner)
        look = [tuple(element.kind for element in held) for held in self.stages]
        return (
            look.index(look[stage]),
            look.index(look[partner]) if partner >= 0 else partner,
        )

    def _span(self, rank: int, other: int) -> int:
        """Return the GPUs from the first of one rank's to the last of the other's."""
        width = self.links.gpus_per_node / self.ranks_per_node
        return round((abs(rank - other) + 1) * width)

    def _same_node(self, rank: int, other: int) -> bool:
        return int(rank // self.ranks_per_node) == int(other // self.ranks_per_node)

    def busy_by_kind(self, op: str, stage: int, partner: int = -1) -> dict[str, float]:
        """Return the seconds of a class by kind, exposed communication among them."""
        spent: defaultdict[str, float] = defaultdict(float)
        for operation in self.operations(op, stage, partner):
            if operation.stream is Stream.COMPUTE:
                for kind, seconds in operation.parts:
                    spent[kind] += seconds
        exposed = self.seconds(op, stage, partner) - sum(spent.values())
        spent["exposed all-to-all"] += max(0.0, exposed)
        return dict(spent)

    def operations(self, op: str, stage: int, partner: int = -1) -> list[Operation]:
        """Return the operations of an instruction class, in stream order."""
        if op == Op.FB:
            return _Pair(self, self.stages[stage], self.stages[partner]).operations()
        held = self.stages[stage]
        if op == Op.F:
            return _Pair(self, held, ()).operations()
        if op == Op.W:
            return _weights(self, held)
        return _Pair(self, (), held, has_weights=op == Op.B).operations()

    def layer(self, kind: str, num_sms: int) -> LayerTimes:
        """Return a layer's segment times on ``num_sms`` SMs."""
        key = (kind, num_sms)
        if key not in self._times:
            segments = layer_segments(self.size, kind)
            counts = TENSOR_COLLECTIVES[kind]
            self._times[key] = LayerTimes(
                *(
                    self._timed(segment, num_sms, count * self.tensor_s)
                    for segment, count in zip(segments, counts, strict=True)
                )
            )
        return self._times[key]

    def end(self, kind: str, op: str, num_sms: int) -> Times:
        """Return the time of an embedding's or head's pass."""
        key = (kind, op, num_sms)
        if key not in self._ends:
            self._ends[key] = self._timed(ends.segment(self.size, kind, op), num_sms)
        return self._ends[key]

    def _timed(self, segment: Segment, num_sms: int, tensor_s: float = 0.0) -> Times:
        kinds: defaultdict[str, float] = defaultdict(float)
        if tensor_s:
            kinds["tensor-parallel"] = tensor_s
        for kernel in segment:
            kinds[kernel.kind] += kernel.seconds(self.device, num_sms)
        return Times(sum(kinds.values()), dict(kinds))


def layer_segments(size: Sizes, kind: str) -> tuple[Segment, ...]:
    """Return a layer's six segments, in the order of :class:`LayerTimes`."""
    segments: list[Segment] = [
        attention.forward(size),
        feed_forward.dense_forward(size),
        feed_forward.dense_input(size),
        feed_forward.dense_weight(size),
        attention.input_gradient(size),
        attention.weight_gradient(size),
    ]
    if kind == "dense" or size.model.moe is None:
        return tuple(segments)
    segments[0] += feed_forward.router_forward(size)
    segments[1] = feed_forward.moe_forward(size)
    segments[2] = feed_forward.moe_input(size)
    segments[3] = feed_forward.moe_weight(size)
    segments[4] += feed_forward.router_backward(size)
    if kind == "mtp":
        forward, backward, weight = ends.mtp_projection(size)
        segments[0] = forward + segments[0]
        segments[4] += backward
        segments[5] += weight
    return tuple(segments)


class _Pair:
    """A forward chunk beside a backward chunk; either may be empty."""

    def __init__(
        self,
        chunks: Chunks,
        ahead: tuple[Element, ...],
        back: tuple[Element, ...],
        *,
        has_weights: bool = True,
    ) -> None:
        self.chunks, self.has_weights = chunks, has_weights
        self.ahead, self.back = ahead, back[::-1]
        self.made: list[Operation] = []
        is_beside = chunks.is_overlapped and any(map(self._travels, (*ahead, *back)))
        full = chunks.device.num_sms
        self.weight_sms = full - chunks.num_comm_sms if is_beside else full
        self.sms = self.weight_sms if ahead and back else full

    def operations(self) -> list[Operation]:
        """Return the operations: ends, then layer beside layer, then the head."""
        out: int | None = None
        gradient: int | None = None
        for element in self.back:
            if element.kind == "head":
                gradient = self._end(element, Op.I, gradient)
                if self.has_weights:
                    self._end(element, Op.W, None)
        for element in self.ahead:
            if element.kind == "embedding":
                out = self._end(element, Op.F, out)
        layers = zip_longest(
            (element for element in self.ahead if element.is_layer),
            (element for element in self.back if element.is_layer),
        )
        for ahead, back in layers:
            out, gradient = self._slot(ahead, back, out, gradient)
        for element in self.ahead:
            if element.kind == "head":
                out = self._end(element, Op.F, out)
        for element in self.back:
            if element.kind == "embedding" and self.has_weights:
                self._end(element, Op.W, gradient)
        return self.made

    def _slot(
        self,
        ahead: Element | None,
        back: Element | None,
        out: int | None,
        gradient: int | None,
    ) -> tuple[int | None, int | None]:
        """Append one layer ahead and one back, in the order of DeepSeek's trace.

        While tokens of one chunk travel, the other computes. Backward, a combine's
        gradient is dispatched and a dispatch's gradient combined.
        """
        gradient = self._travel(back, "combine backward", "dispatch", gradient)
        routed = self._compute(ahead, "attention F", 0, out)
        gradient = self._compute(back, "mlp I", 2, gradient)
        routed = self._travel(ahead, "dispatch", "dispatch", routed)
        gradient = self._travel(back, "dispatch backward", "combine", gradient)
        self._weight(back, "mlp W", 3)
        routed = self._compute(ahead, "mlp F", 1, routed)
        out = self._travel(ahead, "combine", "combine", routed)
        gradient = self._compute(back, "attention I", 4, gradient)
        self._weight(back, "attention W", 5)
        return out, gradient

    def _travels(self, element: Element | None) -> bool:
        return (
            element is not None
            and self.chunks.exchange is not None
            and element.kind in ("moe", "mtp")
        )

    def _compute(
        self, element: Element | None, name: str, segment: int, need: int | None
    ) -> int | None:
        if element is None:
            return need
        times = self.chunks.layer(element.kind, self.sms)[segment]
        return self._add(f"{element.name} {name}", Stream.COMPUTE, times, need)

    def _weight(self, element: Element | None, name: str, segment: int) -> None:
        if element is not None and self.has_weights:
            times = self.chunks.layer(element.kind, self.weight_sms)[segment]
            self._add(f"{element.name} {name}", Stream.COMPUTE, times, None)

    def _travel(
        self, element: Element | None, name: str, way: str, need: int | None
    ) -> int | None:
        if element is None or not self._travels(element):
            return need
        exchange = self.chunks.exchange
        assert exchange is not None  # noqa: S101 - _travels has looked
        seconds = exchange.dispatch_s if way == "dispatch" else exchange.combine_s
        parts = {"all-to-all": seconds, "rank skew": exchange.skew_s}
        times = Times(seconds + exchange.skew_s, parts)
        return self._add(f"{element.name} {name}", Stream.COMMUNICATION, times, need)

    def _end(self, element: Element, op: Op, need: int | None) -> int:
        times = self.chunks.end(element.kind, op.value, self.sms)
        return self._add(f"{element.name} {op.value}", Stream.COMPUTE, times, need)

    def _add(self, name: str, stream: Stream, times: Times, need: int | None) -> int:
        needs = () if need is None else (need,)
        if not self.chunks.is_overlapped and self.made:
            needs = (*needs, len(self.made) - 1)  # one thing at a time
        parts = tuple(times.kinds.items())
        self.made.append(Operation(name, stream, times.seconds, needs, parts))
        return len(self.made) - 1


def _weights(chunks: Chunks, held: tuple[Element, ...]) -> list[Operation]:
    """Return the weight pass of a stage: every product that was put off."""
    full, made = chunks.device.num_sms, []
    for element in reversed(held):
        if element.is_layer:
            layer = chunks.layer(element.kind, full)
            parts = [
                ("mlp W", layer.mlp_weight),
                ("attention W", layer.attention_weight),
            ]
        else:
            parts = [("W", chunks.end(element.kind, Op.W.value, full))]
        made += [
            Operation(
                f"{element.name} {name}",
                Stream.COMPUTE,
                times.seconds,
                (),
                tuple(times.kinds.items()),
            )
            for name, times in parts
        ]
    return made


def chunks(
    scenario: Scenario, seq_len: int, num_stages: int, layer: Layer = Layer.IN_SITU
) -> Chunks:
    """Return the chunks of a scenario's step at one layer of constants.

    Raises
    ------
    InfeasibleError
        If the layout does not fit, or the GPU lacks the number format.
    """
    plan, model, node = scenario.plan, scenario.model, scenario.cluster.node
    size = sizes(scenario, seq_len)
    rates = device(node.gpu, layer)
    for dtype in {size.linear, "bf16"} - set(rates.gemm_flop_per_s):
        raise InfeasibleError(
            f"{node.gpu.title} has no {dtype} rate in its file",
            fix="precision.recipe: bf16",
        )
    is_overlapped = plan.overlap.expert_all_to_all
    ways = links(scenario.cluster, layer, is_overlapped=is_overlapped)
    exchange = None
    if model.moe and plan.ep > 1 and size.places:
        exchange = all_to_all(
            ways,
            num_tokens=size.split_tokens,
            hidden_size=model.hidden_size,
            experts_per_token=model.moe.experts_per_token,
            num_ranks=plan.ep,
            num_nodes=size.num_nodes,
            places=size.places,
            dispatch_bytes=1 + SCALES if size.is_fp8 else 2.0,
            combine_bytes=2.0,
            imbalance=plan.expert_imbalance,
        )
    tensor_s = 0.0
    if plan.tp > 1:
        members = group(plan.tp, 1, node.scaleup_gpus)
        tensor_s = all_gather_s(2.0 * size.tokens * model.hidden_size, members, ways)
    return Chunks(
        stages=elements(scenario, num_stages),
        size=size,
        device=rates,
        links=ways,
        exchange=exchange,
        num_comm_sms=min(plan.num_comm_sms, rates.num_sms - 1),
        is_overlapped=is_overlapped,
        tensor_s=tensor_s,
        send_bytes=2.0 * size.split_tokens * model.hidden_size,
        ranks_per_node=node.scaleup_gpus * plan.pp / scenario.cluster.num_gpus,
    )
