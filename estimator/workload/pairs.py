"""The operations of a chunk, or of a forward chunk beside a backward one.

While tokens of one chunk travel to their experts, the other computes, in the order of
DeepSeek's kernel trace. Tensor-parallel collectives and gathered weights are operations
of the same list, so that what is hidden and what is exposed follows from the streams.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import TYPE_CHECKING, NamedTuple

from estimator.engine.operations import Operation, Stream
from estimator.schedules.notation import Op
from estimator.workload.ends import LOSS_REDUCTIONS
from estimator.workload.stages import Element

if TYPE_CHECKING:
    from estimator.workload.chunks import Chunks
    from estimator.workload.sharding import Sharding

Need = tuple[int, ...]
"""Operations that must have ended; none where the chunk's start will do."""


class Times(NamedTuple):
    """Seconds of a segment, what they go to by kind, and what it computes and moves."""

    seconds: float
    kinds: Mapping[str, float]
    flop: float = 0.0
    num_bytes: float = 0.0
    num_kernels: int = 1
    """Kernels that the host launches for it."""
    num_checked: int = 0
    """Ranks of the collectives in it."""


class Pair:
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
        self.barrier: Need = ()
        is_beside = chunks.is_overlapped and any(map(self._travels, (*ahead, *back)))
        full = chunks.device.num_sms
        self.weight_sms = full - chunks.num_comm_sms if is_beside else full
        self.sms = self.weight_sms if ahead and back else full
        self.tensor = chunks.size.plan.overlap.tensor
        self.is_split = chunks.size.plan.sequence_parallel
        self.gathered: dict[tuple[bool, int], Need] = {}

    def operations(self) -> list[Operation]:
        """Return the pair's operations: ends, layer beside layer, then the head."""
        out: Need = ()
        gradient: Need = ()
        for element in self.back:
            if element.kind == "head":
                gradient = self._head_back(element, gradient)
        for element in self.ahead:
            if element.kind == "embedding":
                out = self._end(element, Op.F, self._gather_end(element, out))
                out = self._join(element, self._sum_name(element), out)
        front = [element for element in self.ahead if element.is_layer]
        rear = [element for element in self.back if element.is_layer]
        for index, (ahead, back) in enumerate(zip_longest(front, rear)):
            out = self._gather(front, index, out, is_back=False)
            gradient = self._gather(rear, index, gradient, is_back=True)
            out, gradient = self._slot(ahead, back, out, gradient)
        for element in self.ahead:
            if element.kind == "head":
                out = self._gather_split(element, "all-gather", out)
                out = self._end(element, Op.F, self._gather_end(element, out))
                out = self._loss_reduction(element, out)
        for element in self.back:
            if element.kind == "embedding" and self.has_weights:
                gradient = self._gather_split(element, "all-gather backward", gradient)
                self._scatter(element, self._end(element, Op.W, gradient))
        self._offload(self.ahead, "activations to the host", Op.F)
        self._offload(self.back, "activations from the host", Op.I)
        return self.made

    def _offload(self, parts: tuple[Element, ...], name: str, op: Op) -> None:
        """Append the transfer of a chunk's activations, beside its computation."""
        num_bytes = self.chunks.offloaded_bytes(parts)
        if num_bytes and self.chunks.offload_bytes_per_s:
            seconds = num_bytes / self.chunks.offload_bytes_per_s
            times = Times(seconds, {"offload": seconds}, num_bytes=num_bytes)
            self._add(parts[0], name, Stream.HOST, times, op, ())

    def _slot(
        self, ahead: Element | None, back: Element | None, out: Need, gradient: Need
    ) -> tuple[Need, Need]:
        """Append one layer ahead and one back.

        Backward, a combine's gradient is dispatched and a dispatch's combined.
        """
        again = self.chunks.size.recompute
        if back and "full" in again:
            gradient = self._again(back, "attention again F", gradient)
        elif back and back.feed_forward == "moe" and "moe" in again:
            gradient = self._again(back, "", gradient)
        gradient = self._travel(back, "combine backward", "dispatch", gradient)
        routed = self._block(ahead, "attention F", 0, out)
        gradient, ready = self._input(back, "mlp I", 2, gradient)
        routed = self._travel(ahead, "dispatch", "dispatch", routed)
        travelled = self._travel(back, "dispatch backward", "combine", gradient)
        self._weight(back, "mlp W", 3, ready)
        routed = self._block(ahead, "mlp F", 1, routed)
        out = self._travel(ahead, "combine", "combine", routed)
        gradient, ready = self._input(back, "attention I", 4, travelled)
        last = self._weight(back, "attention W", 5, ready)
        if back and self.has_weights:
            self._scatter(back, last)
        return out, gradient

    def _again(self, element: Element, mixer: str, need: Need) -> Need:
        """Run a layer forward once more as part of its input pass.

        From its input, or from that of its experts where ``mixer`` names no operation.
        """
        first = len(self.made)
        routed = self._block(element, mixer, 0, need) if mixer else need
        routed = self._travel(element, "dispatch again", "dispatch", routed)
        routed = self._block(element, "mlp again F", 6, routed)
        done = self._travel(element, "combine again", "combine", routed)
        self.made[first:] = [made._replace(op=Op.I.value) for made in self.made[first:]]
        return done

    def _splits(self, element: Element, segment: int) -> bool:
        """Whether a block is computed by tensor-parallel ranks together."""
        block = element.feed_forward if segment in (1, 2, 6) else element.mixer
        return self.chunks.tensor_s > 0 and block in ("attention", "mamba", "mlp")

    def _block(
        self, element: Element | None, name: str, segment: int, need: Need
    ) -> Need:
        """Append a block's forward pass with the collectives around it."""
        if element is None:
            return need
        times = self.chunks.layer(element, self.sms)[segment]
        if not self._splits(element, segment):
            return self._compute(element, name, times, need)
        is_joint = shares_collectives(self.chunks, element)
        if self.is_split and not (is_joint and segment in (1, 6)):
            need = self._collect(element, "all-gather", need, times)
        need = self._compute(element, name, times, need)
        is_dropped = segment == 6 and self.chunks.size.drops_last
        if (is_joint and segment == 0) or is_dropped:
            return need
        name = "reduce-scatter" if self.is_split else "all-reduce"
        return self._collect(element, name, need, times)

    def _input(
        self, element: Element | None, name: str, segment: int, need: Need
    ) -> tuple[Need, Need]:
        """Append a block's input pass; return its result and what weights wait for."""
        if element is None:
            return need, ()
        times = self.chunks.layer(element, self.sms)[segment]
        if not self._splits(element, segment):
            need = self._compute(element, name, times, need)
            return need, ()
        inputs: Need = ()
        is_joint = shares_collectives(self.chunks, element)
        is_first = not (is_joint and segment == 4)
        if self.is_split and is_first:
            need = self._collect(element, "all-gather backward", need, times)
            inputs = self._collect(element, "input again", need, times, is_hidden=True)
        waits = inputs if self.tensor == "none" and inputs else need
        computed = self._compute(element, name, times, waits)
        if is_joint and segment == 2:
            return computed, inputs
        name = "reduce-scatter" if self.is_split else "all-reduce"
        done = self._collect(
            element, f"{name} backward", computed, times, is_hidden=True
        )
        return done, done if self.tensor == "none" else inputs

    def _collect(
        self,
        element: Element,
        name: str,
        need: Need,
        beside: Times,
        *,
        is_hidden: bool = False,
    ) -> Need:
        """Append a tensor-parallel collective.

        Pipelined, it is cut into a chunk per rank and hides behind its own product,
        but for the first chunk. ``is_hidden`` ones run beside weight gradients anyway.
        """
        is_gather = "gather" in name or "again" in name
        seconds, num_bytes = self.chunks.tensor_s, self.chunks.tensor_bytes
        copy_s = self.chunks.tensor_copy_s
        if is_gather and element.is_layer:  # the ends' vectors travel in 16 bits
            copy_s *= self.chunks.gather_s / seconds
            seconds = self.chunks.gather_s
        elif "all-reduce" in name:
            seconds, num_bytes = self.chunks.all_reduce_s, 2 * num_bytes
        if self.tensor == "pipelined" and not is_hidden:
            behind = beside.kinds.get("gemm", 0.0) / 2
            first = seconds / self.chunks.size.tp
            seconds = max(first, seconds - behind)
        is_blocking = self.tensor == "none"  # all that comes later waits for it
        stream = Stream.COMPUTE if is_blocking else Stream.COMMUNICATION
        kind = "exposed tensor-parallel" if is_blocking else "tensor-parallel"
        ranks = self.chunks.size.tp
        times = Times(seconds, {kind: seconds}, num_bytes=num_bytes, num_checked=ranks)
        op = Op.I if "backward" in name or "again" in name else Op.F
        if "scatter" in name:
            need = self._copy(element, f"copy for {name}", copy_s, op, need)
        need = self._add(element, name, stream, times, op, need)
        if is_gather:
            need = self._copy(element, f"copy of {name}", copy_s, op, need)
        return need

    def _weight(
        self, element: Element | None, name: str, segment: int, need: Need
    ) -> Need:
        if element is None or not self.has_weights:
            return ()
        times = self.chunks.layer(element, self.weight_sms)[segment]
        return self._add(element, name, Stream.COMPUTE, times, Op.W, need)

    def _compute(self, element: Element, name: str, times: Times, need: Need) -> Need:
        return self._add(element, name, Stream.COMPUTE, times, Op(name[-1]), need)

    def _travels(self, element: Element | None) -> bool:
        return (
            element is not None
            and self.chunks.exchange is not None
            and element.feed_forward == "moe"
        )

    def _travel(self, element: Element | None, name: str, way: str, need: Need) -> Need:
        """Append an all-to-all and the wait in front of it."""
        if element is None or not self._travels(element):
            return need
        exchange = self.chunks.exchange
        assert exchange is not None  # noqa: S101 - _travels has looked
        seconds, num_bytes = exchange.combine_s, exchange.combine_bytes
        wait_s = exchange.combine_wait_s
        if way == "dispatch":
            seconds, num_bytes = exchange.dispatch_s, exchange.dispatch_bytes
            wait_s = exchange.dispatch_wait_s
        parts = {"all-to-all": seconds, "rank skew": wait_s}
        ranks = self.chunks.size.plan.ep
        times = Times(seconds + wait_s, parts, num_bytes=num_bytes, num_checked=ranks)
        if not self.chunks.is_overlapped:  # alone: behind all before, before all behind
            need = (len(self.made) - 1,) if self.made else ()
        op = Op.I if name.endswith("backward") else Op.F
        done = self._add(element, name, Stream.COMMUNICATION, times, op, need)
        if not self.chunks.is_overlapped:
            self.barrier = done
        return done

    def _gather(
        self, layers: list[Element], index: int, need: Need, *, is_back: bool
    ) -> Need:
        """Append the gathering of a layer's weights and of the next one's.

        The next layer's weights travel while this one computes, no earlier.
        """
        sharding = self.chunks.sharding
        if sharding is None or (is_back and not sharding.gathers_again):
            return need
        for ahead in (index, index + 1):
            key = (is_back, ahead)
            if ahead < len(layers) and key not in self.gathered:
                op = Op.I if is_back else Op.F
                self.gathered[key] = self._weights(sharding, layers[ahead], op, need)
        if index >= len(layers):
            return need
        need = need + self.gathered[is_back, index]
        op = Op.I if is_back else Op.F
        seconds = sharding.copy_out_s(layers[index])
        return self._copy(layers[index], "weights copied", seconds, op, need)

    def _gather_end(self, element: Element, need: Need) -> Need:
        sharding = self.chunks.sharding
        if sharding is None:
            return need
        need = need + self._weights(sharding, element, Op.F, ())
        seconds = sharding.copy_out_s(element)
        return self._copy(element, "weights copied", seconds, Op.F, need)

    def _copy(
        self, element: Element, name: str, seconds: float, op: Op, need: Need
    ) -> Need:
        """Append a copy between weights or gradients and the buffer that travels."""
        if not seconds:
            return need
        times = _copying(self.chunks, seconds)
        return self._add(element, name, Stream.COMPUTE, times, op, need)

    def _weights(
        self, sharding: Sharding, element: Element, op: Op, need: Need
    ) -> Need:
        """Append the gathering of an element's weights."""
        seconds, num_bytes = sharding.gather_s(element), sharding.gather_bytes(element)
        times = Times(
            seconds,
            {"weight gathering": seconds},
            num_bytes=num_bytes,
            num_kernels=1 + sharding.num_copies(element),
            num_checked=sharding.num_ranks(element),
        )
        return self._add(element, "weights", Stream.WEIGHTS, times, op, need)

    def _scatter(self, element: Element, need: Need) -> None:
        if self.has_weights:
            for name, stream, times in scattering(self.chunks, element):
                need = self._add(element, name, stream, times, Op.W, need)

    def _head_back(self, element: Element, need: Need) -> Need:
        """Append the head's backward pass, its weights' where it is not put off."""
        inputs = self._gather_split(element, "input again", need)
        gradient = self._end(element, Op.I, need)
        gradient = self._join(element, f"{self._sum_name(element)} backward", gradient)
        if self.has_weights:
            self._scatter(element, self._end(element, Op.W, inputs))
        return gradient

    def _sum_name(self, element: Element) -> str:
        """Name the collective that adds up what ranks have of a vector.

        Learned positions are added to whole vectors, each rank's part cut out later.
        """
        has_positions = self.chunks.size.model.num_learned_positions
        is_whole = element.kind == "embedding" and has_positions
        return "reduce-scatter" if self.is_split and not is_whole else "all-reduce"

    def _gather_split(self, element: Element, name: str, need: Need) -> Need:
        """Append the gathering of vectors of which each rank has some."""
        return self._join(element, name, need) if self.is_split else need

    def _join(self, element: Element, name: str, need: Need) -> Need:
        """Append a collective of the embedding or the head, whose vocabulary is split.

        Nothing is pipelined there. Source: NVIDIA/Megatron-LM,
        ``core/tensor_parallel/layers.py``.
        """
        if not self.chunks.tensor_s:
            return need
        return self._collect(element, name, need, Times(0.0, {}))

    def _loss_reduction(self, element: Element, need: Need) -> Need:
        seconds = self.chunks.loss_reduce_s
        if not seconds:
            return need
        num_bytes = 4.0 * self.chunks.size.tokens
        kinds = {"exposed tensor-parallel": seconds}
        ranks = LOSS_REDUCTIONS[self.chunks.size.plan.loss_kernel] * self.chunks.size.tp
        times = Times(seconds, kinds, num_bytes=num_bytes, num_checked=ranks)
        return self._add(element, "loss", Stream.COMPUTE, times, Op.F, need)

    def _end(self, element: Element, op: Op, need: Need) -> Need:
        times = self.chunks.end(element.kind, op.value, self.sms)
        return self._add(element, op.value, Stream.COMPUTE, times, op, need)

    def _add(
        self,
        element: Element,
        name: str,
        stream: Stream,
        times: Times,
        op: Op,
        need: Need,
    ) -> Need:
        needs = tuple(sorted({*need, *self.barrier}))
        self.made.append(_operation(element, name, stream, times, op, needs))
        return (len(self.made) - 1,)


def _operation(
    element: Element,
    name: str,
    stream: Stream,
    times: Times,
    op: Op,
    needs: tuple[int, ...] = (),
) -> Operation:
    return Operation(
        name=f"{element.name} {name}",
        stream=stream,
        seconds=times.seconds,
        needs=needs,
        parts=tuple(times.kinds.items()),
        op=op.value,
        layer=element.name,
        flop=times.flop,
        num_bytes=times.num_bytes,
        num_kernels=times.num_kernels,
        num_checked=times.num_checked,
    )


def shares_collectives(chunks: Chunks, element: Element) -> bool:
    """Whether a layer's two blocks have one gather and one reduction between them.

    Both read the same normed input, and their outputs are added before the ranks' are.
    Source: Black et al., GPT-NeoX-20B, 2022, section 2.1.
    """
    blocks = element.mixer, element.feed_forward
    return chunks.size.model.is_parallel and blocks == ("attention", "mlp")


def _copying(chunks: Chunks, seconds: float) -> Times:
    """Return a copy inside the GPU's memory."""
    num_bytes = seconds * chunks.device.hbm_bytes_per_s
    return Times(seconds, {"element-wise": seconds}, num_bytes=num_bytes)


def scattering(chunks: Chunks, element: Element) -> Iterator[tuple[str, Stream, Times]]:
    """Yield what brings an element's gradients to their shards, in order."""
    sharding = chunks.sharding
    if sharding is None:
        return
    if copy_s := sharding.copy_in_s(element):
        yield "gradients copied", Stream.COMPUTE, _copying(chunks, copy_s)
    seconds = sharding.scatter_s(element)
    times = Times(
        seconds,
        {"gradient scattering": seconds},
        num_bytes=sharding.scatter_bytes(element),
        num_kernels=1 + sharding.num_copies(element),
        num_checked=sharding.num_ranks(element),
    )
    yield "gradients", Stream.WEIGHTS, times


def weight_pass(chunks: Chunks, parts: tuple[Element, ...]) -> list[Operation]:
    """Return the weight pass of a stage: every product that was put off.

    Inputs that tensor-parallel ranks hold in parts are gathered once more; sharded
    gradients are scattered, as behind a whole backward pass.
    """
    full, made = chunks.device.num_sms, list[Operation]()
    for element in reversed(parts):
        if not element.is_layer:
            times = chunks.end(element.kind, Op.W.value, full)
            needs = _gathered(chunks, element, made)
            made.append(_operation(element, "W", Stream.COMPUTE, times, Op.W, needs))
            _scatter(chunks, element, made)
            continue
        layer = chunks.layer(element, full)
        for name, times in (
            ("mlp W", layer.ffn_weight),
            ("attention W", layer.mixer_weight),
        ):
            is_kept = name == "attention W" and shares_collectives(chunks, element)
            needs = () if is_kept else _gathered(chunks, element, made)
            made.append(_operation(element, name, Stream.COMPUTE, times, Op.W, needs))
        _scatter(chunks, element, made)
    return made


def _scatter(chunks: Chunks, element: Element, made: list[Operation]) -> None:
    """Append what brings gradients to their shards, behind the last product."""
    for name, stream, times in scattering(chunks, element):
        needs = (len(made) - 1,)
        made.append(_operation(element, name, stream, times, Op.W, needs))


def _gathered(chunks: Chunks, element: Element, made: list[Operation]) -> Need:
    """Append the gathering of a weight product's input where ranks hold parts of it."""
    seconds = chunks.gather_s if element.is_layer else chunks.tensor_s
    if not seconds or not chunks.size.plan.sequence_parallel:
        return ()
    kinds, ranks = {"tensor-parallel": seconds}, chunks.size.tp
    times = Times(seconds, kinds, num_bytes=chunks.tensor_bytes, num_checked=ranks)
    stream = Stream.COMMUNICATION
    made.append(_operation(element, "input again", stream, times, Op.W))
    return (len(made) - 1,)
