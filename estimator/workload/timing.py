"""Seconds of a layer's blocks and of the model's ends on one device, pass by pass."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from estimator.costs.rates import Device, Layer, device, slowest
from estimator.ground.errors import InfeasibleError
from estimator.schedules.notation import Op
from estimator.specs.scenario import Scenario
from estimator.workload import ends
from estimator.workload.causes import Cause
from estimator.workload.context import exposed_s
from estimator.workload.exchanges import TensorParallel
from estimator.workload.layers import OfBlock, OfLayer, layer_segments
from estimator.workload.stages import Element, ElementKind, Look
from estimator.workload.work import Segment, Sizes


class Times(NamedTuple):
    """Seconds of a segment, what they go to by cause, what it computes and moves."""

    seconds: float
    causes: Mapping[Cause, float]
    flop: float = 0.0
    num_bytes: float = 0.0
    num_kernels: int = 1
    """Kernels that the host launches for it."""
    num_checked: int = 0
    """Ranks of the collectives in it."""


class Waits(NamedTuple):
    """What a segment waits for beside its kernels."""

    causes: Mapping[Cause, float]
    num_checked: int = 0


NO_WAITS = Waits({})


@dataclass(frozen=True, eq=False)
class Timing:
    """How long one rank's blocks take; each is timed once, when first asked for.

    A copy with other fields (``dataclasses.replace``) starts without any.
    """

    size: Sizes
    device: Device
    tensor: TensorParallel
    """Of which blocks of experts wait for some."""
    context_s: float
    """Keys and values of all other ranks arrive."""
    _layers: dict[tuple[Look, int], OfLayer[Times]] = field(
        default_factory=dict, init=False, repr=False
    )
    _ends: dict[tuple[str, str, int], Times] = field(
        default_factory=dict, init=False, repr=False
    )

    @property
    def num_comm_sms(self) -> float:
        """SMs that communication takes from the computation beside it.

        None where its cores are large: engines of their own communicate.
        """
        if self.device.has_large_cores:
            return 0.0
        asked = self.size.software.experts.num_comm_sms
        return self.device.comm_sms if asked is None else asked

    @property
    def lent_sms(self) -> float:
        """The share of a GPU's SMs that these are."""
        return self.num_comm_sms / self.device.num_sms

    def layer(self, element: Element, num_sms: int) -> OfLayer[Times]:
        """Return the times of a layer's blocks on ``num_sms`` SMs."""
        key = (element.look, num_sms)
        if key not in self._layers:
            segments = layer_segments(self.size, element)
            self._layers[key] = OfLayer(
                self._mixer(element, segments.mixer, num_sms),
                self._ffn(element, segments.ffn, num_sms),
            )
        return self._layers[key]

    def end(self, kind: ElementKind, op: Op, num_sms: int) -> Times:
        """Return the time of an embedding's or head's pass."""
        key = (kind, op, num_sms)
        if key not in self._ends:
            segment = ends.segment(self.size, kind, op)
            self._ends[key] = self._timed(segment, num_sms)
        return self._ends[key]

    def _mixer(
        self, element: Element, made: OfBlock[Segment], num_sms: int
    ) -> OfBlock[Times]:
        back = self._context(element, made.input, is_backward=True)
        ahead = self._context(element, made.forward, is_backward=False)
        forward = self._timed(made.forward, num_sms, ahead)
        return OfBlock(
            forward=forward,
            input=self._timed(made.input, num_sms, back),
            weight=self._timed(made.weight, num_sms),
            again=forward,
        )

    def _ffn(
        self, element: Element, made: OfBlock[Segment], num_sms: int
    ) -> OfBlock[Times]:
        ahead = self._experts(element, is_backward=False)
        back = self._experts(element, is_backward=True)
        forward = self._timed(made.forward, num_sms, ahead)
        is_same = made.again is made.forward
        return OfBlock(
            forward=forward,
            input=self._timed(made.input, num_sms, back),
            weight=self._timed(made.weight, num_sms),
            again=forward if is_same else self._timed(made.again, num_sms, ahead),
        )

    def _context(
        self, element: Element, segment: Segment, *, is_backward: bool
    ) -> Waits:
        """Return what attention waits for of other ranks' keys and values."""
        if element.mixer != "attention" or not self.context_s:
            return NO_WAITS
        core_s = sum(
            kernel.seconds(self.device, self.device.num_sms)
            for kernel in segment
            if kernel.cause is Cause.ATTENTION
        )
        late_s = exposed_s(self.size, self.context_s, core_s, is_backward=is_backward)
        return Waits({Cause.EXPOSED_CONTEXT: late_s})

    def _experts(self, element: Element, *, is_backward: bool) -> Waits:
        """Return the tensor-parallel collectives in a block of experts.

        Routed experts wait for theirs. Shared ones are a block like a dense one.
        Backward, inputs are gathered again.
        """
        if element.feed_forward != "moe":
            return NO_WAITS
        plan, num_rounds = self.size.plan, 3 if is_backward else 2
        seconds, ranks = self.tensor.experts_s * num_rounds, 0
        if plan.etp > 1:
            ranks += plan.etp
        if self.size.moe.shared_width:
            # behind gradients of inputs and weights
            way = self.size.software.communication.tensor
            is_hidden = is_backward and way != "none"
            seconds += self.tensor.split_s * (1 if is_hidden else num_rounds)
            ranks += plan.tp if plan.tp > 1 else 0
        return Waits({Cause.EXPOSED_TENSOR_PARALLEL: seconds}, num_rounds * ranks)

    def _timed(self, segment: Segment, num_sms: int, waits: Waits = NO_WAITS) -> Times:
        causes: defaultdict[Cause, float] = defaultdict(float, waits.causes)
        for kernel, count in Counter(segment).items():  # experts have the same ones
            causes[kernel.cause] += count * kernel.seconds(self.device, num_sms)
        return Times(
            sum(causes.values()),
            {cause: seconds for cause, seconds in causes.items() if seconds},
            sum(kernel.flop for kernel in segment),
            sum(kernel.num_bytes for kernel in segment),
            sum(kernel.num_kernels for kernel in segment),
            waits.num_checked,
        )


def rates(scenario: Scenario, size: Sizes, layer: Layer) -> Device:
    """Return the rates of a scenario's GPU at one layer of constants.

    Raises
    ------
    InfeasibleError
        If the GPU lacks the number format.
    """
    plan, gpu = scenario.plan, scenario.cluster.node.gpu
    made = device(gpu, layer)
    if layer is not Layer.SPECIFICATION:
        most = device(gpu, Layer.SPECIFICATION)
        made = made.matured(scenario.software.kernels.maturity, most)
    spread = gpu.in_situ.clock_spread
    if layer is Layer.IN_SITU and spread and plan.ep == 1:  # else in the rank skew
        made = made.clocked(slowest(spread.value, scenario.cluster.num_gpus))
    for dtype in {size.format.dtype, "bf16"} - set(made.gemm_flop_per_s):
        raise InfeasibleError(
            f"{gpu.title} has no {dtype} rate in its file",
            fix="precision.recipe: bf16",
        )
    return made
