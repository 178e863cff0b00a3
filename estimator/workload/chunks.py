"""Durations of every chunk of a step, worked out from its operations when asked for.

A chunk is one micro-batch on one stage: its forward (F), backward (B), input (I) or
weight (W) pass, or the overlapped pair of a forward and a backward chunk.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from estimator.costs.rates import Layer
from estimator.engine.graph import SEND
from estimator.engine.operations import Operation, Stream, play
from estimator.schedules.notation import Op, Program
from estimator.specs.scenario import Scenario
from estimator.workload.causes import EXPOSED_AS, Cause
from estimator.workload.exchanges import Exchanges, exchanges
from estimator.workload.host import Host, host, waits_for_kernels
from estimator.workload.lending import beside_collectives, gemm_s
from estimator.workload.pairs import pair
from estimator.workload.stages import Element, elements
from estimator.workload.timing import Timing, rates
from estimator.workload.weights import weight_pass
from estimator.workload.work import sizes

Key = tuple[str, int, int]
"""An instruction class: its operation, stage and partner."""


@dataclass(frozen=True, eq=False)
class Chunks:
    """A scenario's chunks at one layer of constants; each is worked out once.

    A copy with other fields (``dataclasses.replace``) starts without any.
    """

    stages: tuple[tuple[Element, ...], ...]
    timing: Timing
    exchanges: Exchanges
    host: Host
    _seconds: dict[Key, float] = field(default_factory=dict, init=False, repr=False)
    _queued: dict[Key, tuple[Operation, ...]] = field(
        default_factory=dict, init=False, repr=False
    )

    def seconds(self, op: str, stage: int, partner: int = -1) -> float:
        """Return the duration of an instruction class, or of a send between ranks."""
        if op == SEND:
            is_hidden = self.timing.size.software.communication.pipeline
            return self.exchanges.send_s(stage, partner) if is_hidden else 0.0
        key = (op, self._alike(stage), self._alike(partner))
        if key not in self._seconds:
            self._seconds[key] = play(self.operations(op, stage, partner)).makespan_s
        return self._seconds[key]

    def operations(self, op: str, stage: int, partner: int = -1) -> list[Operation]:
        """Return the operations of an instruction class, in stream order."""
        made = self._queue(op, stage, partner)
        made += self._launches(made)
        return made + self._sends(op, stage, made)

    def busy_by_cause(
        self, op: str, stage: int, partner: int = -1
    ) -> dict[Cause, float]:
        """Return the seconds of a class by cause, exposed communication among them.

        What is exposed is split in proportion to the kinds of communication inside.
        """
        spent: defaultdict[Cause, float] = defaultdict(float)
        away: defaultdict[str, float] = defaultdict(float)
        queued = self._queue(op, self._alike(stage), self._alike(partner))
        queued += self._sends(op, stage, queued)
        for operation in queued:
            is_compute = operation.stream is Stream.COMPUTE
            for cause, seconds in operation.parts:
                if is_compute:
                    spent[Cause(cause)] += seconds
                else:
                    away[cause] += seconds
        alone = play(queued).makespan_s
        exposed = alone - sum(spent.values())
        total = sum(away.values())
        for cause, seconds in away.items():
            if seconds:
                spent[EXPOSED_AS[cause]] += max(0.0, exposed) * seconds / total
        late = self.seconds(op, stage, partner) - alone
        if late > 0:
            spent[Cause.HOST_LAUNCHES] += late
        return dict(spent)

    def lent_share(self, chunks: Sequence[tuple[str, int]]) -> float:
        """Return what chunks lose of the time that a collective runs beside them."""
        if not self.timing.num_comm_sms:
            return 0.0
        kinds = Counter((op, self._alike(stage)) for op, stage in chunks)
        products_s = sum(
            count * gemm_s(self.operations(*chunk)) for chunk, count in kinds.items()
        )
        wall_s = sum(self.seconds(*chunk) for chunk in chunks)
        return self.timing.lent_sms * products_s / wall_s if products_s else 0.0

    def host_s(self, op: str, stage: int) -> float:
        """Return what the host spends on the kernels and collectives of a class."""
        return self._host_s(self._queue(op, self._alike(stage), -1))

    def _alike(self, stage: int) -> int:
        """Return the first stage that looks the same: they share their durations."""
        return stage if stage < 0 else self._first[stage]

    @cached_property
    def _first(self) -> tuple[int, ...]:
        looks: dict[object, int] = {}
        return tuple(
            looks.setdefault(tuple(element.look for element in parts), index)
            for index, parts in enumerate(self.stages)
        )

    def _queue(self, op: str, stage: int, partner: int) -> list[Operation]:
        """Return what the GPU does for a class."""
        key = (op, stage, partner)
        if key not in self._queued:
            made = self._kernels(op, stage, partner)
            self._queued[key] = tuple(beside_collectives(made, self.timing.lent_sms))
        return list(self._queued[key])

    def _kernels(self, op: str, stage: int, partner: int) -> list[Operation]:
        parts, beside = self.stages[stage], (self.timing, self.exchanges)
        if op == Op.FB:
            return pair(*beside, parts, self.stages[partner])
        if op == Op.F:
            return pair(*beside, parts, ())
        if op == Op.W:
            return weight_pass(*beside, parts)
        return pair(*beside, (), parts, has_weights=op == Op.B)

    def _sends(self, op: str, stage: int, made: list[Operation]) -> list[Operation]:
        """Return the send that a chunk waits for where nothing hides it."""
        size, last = self.timing.size, len(self.stages) - 1
        has_next = (op == Op.F and stage < last) or (op in (Op.B, Op.I) and stage > 0)
        is_hidden = size.plan.pp == 1 or size.software.communication.pipeline
        if is_hidden or not has_next or not made:
            return []
        seconds = self.exchanges.send_s(0, 1)
        return [
            Operation(
                "send",
                Stream.COMPUTE,
                seconds,
                tuple(range(len(made))),
                ((Cause.EXPOSED_PIPELINE, seconds),),
                made[-1].op,
                num_bytes=self.exchanges.send_bytes,
            )
        ]

    def _host_s(self, made: Sequence[Operation]) -> float:
        if self.timing.size.software.kernels.launch == "graph":
            return 0.0
        return self.host.spent_s(made)

    def _launches(self, made: list[Operation]) -> list[Operation]:
        """Return the host's work for these operations, where it holds them up."""
        seconds = self._host_s(made)
        if not seconds:
            return []
        is_blocking = waits_for_kernels(self.timing.size)
        if not is_blocking and seconds <= play(made).makespan_s:
            return []
        return [
            Operation(
                "launches",
                Stream.COMPUTE if is_blocking else Stream.LAUNCH,
                seconds,
                tuple(range(len(made))) if is_blocking else (),
                ((Cause.HOST_LAUNCHES, seconds),),
                made[-1].op,
            )
        ]


def chunks(
    scenario: Scenario, seq_len: int, made: Program, layer: Layer = Layer.IN_SITU
) -> Chunks:
    """Return the chunks of a scenario's step at one layer of constants.

    Raises
    ------
    InfeasibleError
        If the layout does not fit, or the GPU lacks the number format.
    """
    size = sizes(scenario, seq_len)
    device = rates(scenario, size, layer)
    stages = elements(scenario, made.num_stages)
    told = exchanges(scenario, size, made, device, layer)
    timing = Timing(size, device, told.tensor, told.context_s)
    return Chunks(stages, timing, told, host(scenario, layer))
