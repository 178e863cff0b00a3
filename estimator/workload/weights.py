"""Operations on weights: sharded ones gathered, gradients scattered, put-off products.

Sharded weights travel on a stream of their own (FSDP). A weight pass is what a schedule
puts off: the products that are the gradients of a stage's weights.
"""

from __future__ import annotations

from dataclasses import dataclass

from estimator.engine.operations import Operation, Stream
from estimator.schedules.notation import Op
from estimator.workload.causes import Cause
from estimator.workload.exchanges import Exchanges
from estimator.workload.layers import Block, shares_collectives
from estimator.workload.queues import Need, Queue
from estimator.workload.stages import Element
from estimator.workload.timing import Times, Timing


def weight_pass(
    timing: Timing, exchanges: Exchanges, parts: tuple[Element, ...]
) -> list[Operation]:
    """Return the operations of a stage's weight pass."""
    made = Weights(timing, exchanges, Queue())
    made.whole_pass(parts)
    return made.queue.made


@dataclass(frozen=True)
class Weights:
    """Puts what happens to weights beside a pass into its queue."""

    timing: Timing
    exchanges: Exchanges
    queue: Queue

    def copy(
        self, element: Element, task: str, seconds: float, op: Op, need: Need
    ) -> Need:
        """Append a copy inside the GPU's memory, if it takes any time."""
        if not seconds:
            return need
        num_bytes = seconds * self.timing.device.hbm_bytes_per_s
        times = Times(seconds, {Cause.ELEMENTWISE: seconds}, num_bytes=num_bytes)
        return self.queue.add(element, task, Stream.COMPUTE, times, op, need)

    def gather(self, element: Element, op: Op, need: Need) -> Need:
        """Append the gathering of an element's weights."""
        sharding = self.exchanges.sharding
        if sharding is None:
            return need
        seconds, num_bytes = sharding.gather_s(element), sharding.gather_bytes(element)
        times = Times(
            seconds,
            {Cause.WEIGHT_GATHERING: seconds},
            num_bytes=num_bytes,
            num_kernels=1 + sharding.num_copies(element),
            num_checked=sharding.num_ranks(element),
        )
        return self.queue.add(element, "weights", Stream.WEIGHTS, times, op, need)

    def copy_out(self, element: Element, op: Op, need: Need) -> Need:
        """Append the copy from the buffer in which an element's weights arrive."""
        sharding = self.exchanges.sharding
        seconds = sharding.copy_out_s(element) if sharding else 0.0
        return self.copy(element, "weights copied", seconds, op, need)

    def scatter(self, element: Element, need: Need) -> None:
        """Append what brings an element's gradients to their shards, in order."""
        sharding = self.exchanges.sharding
        if sharding is None:
            return
        copy_s = sharding.copy_in_s(element)
        need = self.copy(element, "gradients copied", copy_s, Op.W, need)
        seconds = sharding.scatter_s(element)
        times = Times(
            seconds,
            {Cause.GRADIENT_SCATTERING: seconds},
            num_bytes=sharding.scatter_bytes(element),
            num_kernels=1 + sharding.num_copies(element),
            num_checked=sharding.num_ranks(element),
        )
        self.queue.add(element, "gradients", Stream.WEIGHTS, times, Op.W, need)

    def whole_pass(self, parts: tuple[Element, ...]) -> None:
        """Append every product of a stage that was put off.

        Inputs that tensor-parallel ranks hold in parts are gathered once more; sharded
        gradients are scattered, as behind a whole backward pass.
        """
        full = self.timing.device.num_sms
        for element in reversed(parts):
            if not element.is_layer:
                times = self.timing.end(element.kind, Op.W, full)
                need = self._input_again(element)
                self.scatter(element, self._product(element, Op.W.value, times, need))
                continue
            layer = self.timing.layer(element, full)
            need = self._input_again(element)
            self._product(element, f"{Block.FFN} W", layer.ffn.weight, need)
            is_kept = shares_collectives(self.timing.size, element)
            need = () if is_kept else self._input_again(element)
            last = self._product(element, f"{Block.MIXER} W", layer.mixer.weight, need)
            self.scatter(element, last)

    def _product(self, element: Element, task: str, times: Times, need: Need) -> Need:
        return self.queue.add(element, task, Stream.COMPUTE, times, Op.W, need)

    def _input_again(self, element: Element) -> Need:
        """Append the gathering of a product's input where ranks hold parts of it."""
        tensor, size = self.exchanges.tensor, self.timing.size
        seconds = tensor.gather_s if element.is_layer else tensor.split_s
        if not seconds or not size.plan.sequence_parallel:
            return ()
        times = Times(
            seconds,
            {Cause.TENSOR_PARALLEL: seconds},
            num_bytes=tensor.num_bytes,
            num_checked=size.tp,
        )
        stream = Stream.COMMUNICATION
        return self.queue.add(element, "input again", stream, times, Op.W)
