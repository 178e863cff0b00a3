"""The operations of a chunk, or of a forward chunk beside a backward one.

While tokens of one chunk travel to their experts, the other computes, in the order of
DeepSeek's kernel trace. Tensor-parallel collectives and gathered weights are operations
of the same list, so that what is hidden and what is exposed follows from the streams.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import NamedTuple

from estimator.engine.operations import Operation, Stream
from estimator.schedules.notation import Op
from estimator.workload.causes import Cause
from estimator.workload.ends import LOSS_REDUCTIONS, loss_kernel
from estimator.workload.exchanges import Collective, Exchanges
from estimator.workload.layers import Block, block_kind, shares_collectives
from estimator.workload.memory import chunk_activations
from estimator.workload.queues import Need, Queue
from estimator.workload.stages import Element
from estimator.workload.timing import Times, Timing
from estimator.workload.weights import Weights


class Leg(NamedTuple):
    """A way of rows to their experts, or back."""

    task: str
    op: Op
    is_dispatch: bool
    """Whether they leave as a dispatch does, or a combine."""


DISPATCH = Leg("dispatch", Op.F, is_dispatch=True)
COMBINE = Leg("combine", Op.F, is_dispatch=False)
DISPATCH_AGAIN = Leg("dispatch again", Op.F, is_dispatch=True)
COMBINE_AGAIN = Leg("combine again", Op.F, is_dispatch=False)
COMBINE_BACKWARD = Leg("combine backward", Op.I, is_dispatch=True)
"""A combine's gradient is dispatched, and a dispatch's combined."""
DISPATCH_BACKWARD = Leg("dispatch backward", Op.I, is_dispatch=False)
SPLIT_BLOCKS = ("attention", "mamba", "mlp")
"""What tensor-parallel ranks compute together."""


def pair(
    timing: Timing,
    exchanges: Exchanges,
    ahead: tuple[Element, ...],
    back: tuple[Element, ...],
    *,
    has_weights: bool = True,
) -> list[Operation]:
    """Return the operations of a forward chunk beside a backward one, or of either.

    Without ``has_weights`` the backward chunk is an input pass.
    """
    made = _Pair(timing, exchanges, ahead, back, has_weights=has_weights)
    return made.operations()


class _Pair:
    """A forward chunk beside a backward chunk, put into a queue; one may be empty."""

    def __init__(
        self,
        timing: Timing,
        exchanges: Exchanges,
        ahead: tuple[Element, ...],
        back: tuple[Element, ...],
        *,
        has_weights: bool,
    ) -> None:
        self.timing, self.exchanges, self.has_weights = timing, exchanges, has_weights
        self.size = timing.size
        self.ahead, self.back = ahead, back[::-1]
        self.queue = Queue()
        self.weights = Weights(timing, exchanges, self.queue)
        is_beside = exchanges.is_overlapped and any(map(self._travels, (*ahead, *back)))
        full = timing.device.num_sms
        self.weight_sms = full - int(timing.num_comm_sms) if is_beside else full
        self.sms = self.weight_sms if ahead and back else full
        self.overlap = self.size.software.communication.tensor
        self.is_split = self.size.plan.sequence_parallel
        self.gathered: dict[tuple[Op, int], Need] = {}

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
                out = self._add_up(element, Op.F, out)
        front = [element for element in self.ahead if element.is_layer]
        rear = [element for element in self.back if element.is_layer]
        for index, (ahead, back) in enumerate(zip_longest(front, rear)):
            out = self._gather(front, index, Op.F, out)
            gradient = self._gather(rear, index, Op.I, gradient)
            out, gradient = self._slot(ahead, back, out, gradient)
        for element in self.ahead:
            if element.kind == "head":
                out = self._gather_split(element, Op.F, out)
                out = self._end(element, Op.F, self._gather_end(element, out))
                out = self._loss_reduction(element, out)
        for element in self.back:
            if element.kind == "embedding" and self.has_weights:
                gradient = self._gather_split(element, Op.I, gradient)
                self._scatter(element, self._end(element, Op.W, gradient))
        self._offload(self.ahead, "activations to the host", Op.F)
        self._offload(self.back, "activations from the host", Op.I)
        return self.queue.made

    def _offload(self, parts: tuple[Element, ...], task: str, op: Op) -> None:
        """Append the transfer of a chunk's activations, beside its computation."""
        share = self.size.plan.activation_offload
        num_bytes = share and share * chunk_activations(self.size, parts).total
        if num_bytes and self.exchanges.offload_bytes_per_s:
            seconds = num_bytes / self.exchanges.offload_bytes_per_s
            times = Times(seconds, {Cause.OFFLOAD: seconds}, num_bytes=num_bytes)
            self.queue.add(parts[0], task, Stream.HOST, times, op)

    def _slot(
        self, ahead: Element | None, back: Element | None, out: Need, gradient: Need
    ) -> tuple[Need, Need]:
        """Append one layer ahead and one back."""
        again = self.size.recompute
        if back and "full" in again:
            gradient = self._again(back, gradient, is_whole=True)
        elif back and back.feed_forward == "moe" and "moe" in again:
            gradient = self._again(back, gradient, is_whole=False)
        gradient = self._travel(back, COMBINE_BACKWARD, gradient)
        routed = self._block(ahead, Block.MIXER, out)
        gradient, ready = self._input(back, Block.FFN, gradient)
        routed = self._travel(ahead, DISPATCH, routed)
        travelled = self._travel(back, DISPATCH_BACKWARD, gradient)
        self._weight(back, Block.FFN, ready)
        routed = self._block(ahead, Block.FFN, routed)
        out = self._travel(ahead, COMBINE, routed)
        gradient, ready = self._input(back, Block.MIXER, travelled)
        last = self._weight(back, Block.MIXER, ready)
        if back:
            self._scatter(back, last)
        return out, gradient

    def _again(self, element: Element, need: Need, *, is_whole: bool) -> Need:
        """Run a layer, or its experts alone, forward once more in its input pass."""
        first = len(self.queue.made)
        if is_whole:
            need = self._block(element, Block.MIXER, need, is_again=True)
        routed = self._travel(element, DISPATCH_AGAIN, need)
        routed = self._block(element, Block.FFN, routed, is_again=True)
        done = self._travel(element, COMBINE_AGAIN, routed)
        self.queue.repeated_from(first)
        return done

    def _splits(self, element: Element, block: Block) -> bool:
        """Whether a block is computed by tensor-parallel ranks together."""
        is_split = self.exchanges.tensor.split_s > 0
        return is_split and block_kind(element, block) in SPLIT_BLOCKS

    def _block(
        self,
        element: Element | None,
        block: Block,
        need: Need,
        *,
        is_again: bool = False,
    ) -> Need:
        """Append a block's forward pass with the collectives around it."""
        if element is None:
            return need
        each = self.timing.layer(element, self.sms).of(block)
        times = each.again if is_again else each.forward
        task = f"{block} again" if is_again else block.value
        if not self._splits(element, block):
            return self._compute(element, task, Op.F, times, need)
        is_joint = shares_collectives(self.size, element)
        is_ffn = block is Block.FFN
        if self.is_split and not (is_joint and is_ffn):
            need = self._collect(element, Collective.GATHER, Op.F, need, times)
        need = self._compute(element, task, Op.F, times, need)
        is_dropped = is_again and is_ffn and self.size.drops_last
        if (is_joint and not is_ffn) or is_dropped:
            return need
        summed = Collective.SCATTER if self.is_split else Collective.REDUCE
        return self._collect(element, summed, Op.F, need, times)

    def _input(
        self, element: Element | None, block: Block, need: Need
    ) -> tuple[Need, Need]:
        """Append a block's input pass; return its result and what weights wait for."""
        if element is None:
            return need, ()
        times = self.timing.layer(element, self.sms).of(block).input
        if not self._splits(element, block):
            return self._compute(element, block, Op.I, times, need), ()
        inputs: Need = ()
        is_joint = shares_collectives(self.size, element)
        is_ffn = block is Block.FFN
        if self.is_split and (is_ffn or not is_joint):
            need = self._collect(element, Collective.GATHER, Op.I, need, times)
            inputs = self._input_again(element, need, times)
        waits = inputs if self.overlap == "none" and inputs else need
        computed = self._compute(element, block, Op.I, times, waits)
        if is_joint and is_ffn:
            return computed, inputs
        summed = Collective.SCATTER if self.is_split else Collective.REDUCE
        done = self._collect(element, summed, Op.I, computed, times, is_hidden=True)
        return done, done if self.overlap == "none" else inputs

    def _input_again(self, element: Element, need: Need, beside: Times) -> Need:
        """Append the gathering of an input that weight gradients need once more."""
        return self._collect(
            element,
            Collective.GATHER,
            Op.I,
            need,
            beside,
            task="input again",
            is_hidden=True,
        )

    def _collect(
        self,
        element: Element,
        collective: Collective,
        op: Op,
        need: Need,
        beside: Times,
        *,
        task: str = "",
        is_hidden: bool = False,
    ) -> Need:
        """Append a tensor-parallel collective.

        Pipelined, it is cut into a chunk per rank and hides behind its own product,
        but for the first chunk. ``is_hidden`` ones run beside weight gradients anyway.
        """
        task = task or (collective.value if op is Op.F else f"{collective} backward")
        made = self.exchanges.tensor.moved(collective, is_layer=element.is_layer)
        seconds = made.seconds
        if self.overlap == "pipelined" and not is_hidden:
            behind = beside.causes.get(Cause.GEMM, 0.0) / 2
            first = seconds / self.size.tp
            seconds = max(first, seconds - behind)
        stream, cause = Stream.COMMUNICATION, Cause.TENSOR_PARALLEL
        if self.overlap == "none":  # all that comes later waits for it
            stream, cause = Stream.COMPUTE, Cause.EXPOSED_TENSOR_PARALLEL
        times = Times(
            seconds,
            {cause: seconds},
            num_bytes=made.num_bytes,
            num_checked=self.size.tp,
        )
        copy = self.weights.copy
        if collective is Collective.SCATTER:
            need = copy(element, f"copy for {task}", made.copy_s, op, need)
        need = self.queue.add(element, task, stream, times, op, need)
        if collective is Collective.GATHER:
            need = copy(element, f"copy of {task}", made.copy_s, op, need)
        return need

    def _weight(self, element: Element | None, block: Block, need: Need) -> Need:
        if element is None or not self.has_weights:
            return ()
        times = self.timing.layer(element, self.weight_sms).of(block).weight
        return self._compute(element, block, Op.W, times, need)

    def _compute(
        self, element: Element, task: str, op: Op, times: Times, need: Need
    ) -> Need:
        return self.queue.add(element, f"{task} {op}", Stream.COMPUTE, times, op, need)

    def _travels(self, element: Element) -> bool:
        return self.exchanges.experts is not None and element.feed_forward == "moe"

    def _travel(self, element: Element | None, leg: Leg, need: Need) -> Need:
        """Append an all-to-all and the wait in front of it."""
        exchange, queue = self.exchanges.experts, self.queue
        if element is None or exchange is None or not self._travels(element):
            return need
        seconds, num_bytes = exchange.combine_s, exchange.combine_bytes
        wait_s = exchange.combine_wait_s
        if leg.is_dispatch:
            seconds, num_bytes = exchange.dispatch_s, exchange.dispatch_bytes
            wait_s = exchange.dispatch_wait_s
        times = Times(
            seconds + wait_s,
            {Cause.ALL_TO_ALL: seconds, Cause.RANK_SKEW: wait_s},
            num_bytes=num_bytes,
            num_checked=self.size.plan.ep,
        )
        is_alone = not self.exchanges.is_overlapped
        if is_alone:  # behind all before, before all behind
            need = (len(queue.made) - 1,) if queue.made else ()
        stream = Stream.COMMUNICATION
        done = queue.add(element, leg.task, stream, times, leg.op, need)
        if is_alone:
            queue.barrier = done
        return done

    def _gather(self, layers: list[Element], index: int, op: Op, need: Need) -> Need:
        """Append the gathering of a layer's weights and of the next one's.

        The next layer's weights travel while this one computes, no earlier.
        """
        sharding = self.exchanges.sharding
        if sharding is None or (op is Op.I and not sharding.gathers_again):
            return need
        for ahead in (index, index + 1):
            if ahead < len(layers) and (op, ahead) not in self.gathered:
                self.gathered[op, ahead] = self.weights.gather(layers[ahead], op, need)
        if index >= len(layers):
            return need
        return self.weights.copy_out(layers[index], op, need + self.gathered[op, index])

    def _gather_end(self, element: Element, need: Need) -> Need:
        need = need + self.weights.gather(element, Op.F, ())
        return self.weights.copy_out(element, Op.F, need)

    def _scatter(self, element: Element, need: Need) -> None:
        if self.has_weights:
            self.weights.scatter(element, need)

    def _head_back(self, element: Element, need: Need) -> Need:
        """Append the head's backward pass, its weights' where it is not put off."""
        inputs = need
        if self.is_split and self.exchanges.tensor.split_s:
            inputs = self._input_again(element, need, Times(0.0, {}))
        gradient = self._end(element, Op.I, need)
        gradient = self._add_up(element, Op.I, gradient)
        if self.has_weights:
            self._scatter(element, self._end(element, Op.W, inputs))
        return gradient

    def _add_up(self, element: Element, op: Op, need: Need) -> Need:
        """Append the collective that adds up what ranks have of a vector.

        Learned positions are added to whole vectors, each rank's part cut out later.
        """
        has_positions = self.size.model.num_learned_positions
        is_whole = element.kind == "embedding" and has_positions
        is_cut = self.is_split and not is_whole
        summed = Collective.SCATTER if is_cut else Collective.REDUCE
        return self._join(element, summed, op, need)

    def _gather_split(self, element: Element, op: Op, need: Need) -> Need:
        """Append the gathering of vectors of which each rank has some."""
        if not self.is_split:
            return need
        return self._join(element, Collective.GATHER, op, need)

    def _join(
        self, element: Element, collective: Collective, op: Op, need: Need
    ) -> Need:
        """Append a collective of the embedding or the head, whose vocabulary is split.

        Nothing is pipelined there. Source: NVIDIA/Megatron-LM,
        ``core/tensor_parallel/layers.py``.
        """
        if not self.exchanges.tensor.split_s:
            return need
        return self._collect(element, collective, op, need, Times(0.0, {}))

    def _loss_reduction(self, element: Element, need: Need) -> Need:
        seconds = self.exchanges.tensor.loss_s
        if not seconds:
            return need
        times = Times(
            seconds,
            {Cause.EXPOSED_TENSOR_PARALLEL: seconds},
            num_bytes=4.0 * self.size.tokens,
            num_checked=LOSS_REDUCTIONS[loss_kernel(self.size)] * self.size.tp,
        )
        return self.queue.add(element, "loss", Stream.COMPUTE, times, Op.F, need)

    def _end(self, element: Element, op: Op, need: Need) -> Need:
        times = self.timing.end(element.kind, op, self.sms)
        return self.queue.add(element, op.value, Stream.COMPUTE, times, op, need)
