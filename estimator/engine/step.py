"""One training step as SimPy processes.

A process runs each pipeline rank; it has a compute and a communication stream, and
each directed link between two ranks is a resource that carries one message at a time.
Without randomness it agrees with :func:`estimator.engine.evaluate.evaluate` on the
same program; it exists for what a fixed order cannot tell: jitter and contention.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import simpy

from estimator.engine.graph import (
    SEND,
    DurationClass,
    Lowering,
    consumers,
    duration_class,
)
from estimator.engine.operations import Operation, Stream
from estimator.engine.tape import NO_NODE
from estimator.schedules.notation import Instruction, Program, need, result

Process = Generator[simpy.Event, object, None]


class Span(NamedTuple):
    """A stretch of one stream of one rank, in seconds since the step began.

    Its instruction is what it belongs to; for a send, the result that it carries.
    """

    rank: int
    stream: str
    """``chunk`` for a whole instruction."""
    name: str
    start_s: float
    end_s: float
    instruction: Instruction
    operation: Operation | None = None
    """What ran; None for a whole instruction and for a send."""
    receiver: int = NO_NODE
    """The rank that a send goes to; -1 where it is none."""


def link_stream(receiver: int) -> str:
    """Return the name of the stream that carries messages to a rank."""
    return f"send to {receiver}"


@dataclass(frozen=True)
class Jitter:
    """Random durations: log-normal with mean 1 and this coefficient of variation."""

    cv: float
    rng: np.random.Generator

    def scale(self, seconds: float) -> float:
        """Return one random duration around ``seconds``."""
        sigma2 = np.log1p(self.cv**2)
        return seconds * float(self.rng.lognormal(-sigma2 / 2, np.sqrt(sigma2)))


@dataclass(frozen=True)
class StepTrace:
    """What happened when: instructions per rank, and every stream's spans."""

    instructions: tuple[Span, ...]
    streams: tuple[Span, ...]

    @property
    def makespan_s(self) -> float:
        """Time until the last instruction has ended."""
        return max((span.end_s for span in self.instructions), default=0.0)


class _Rank:
    """One pipeline rank: its place in the program, its streams, its mailbox."""

    def __init__(self, step: _Step, rank: int) -> None:
        self.step, self.rank = step, rank

    def run(self) -> Process:
        """Work through the rank's instructions in order."""
        step, env = self.step, self.step.env
        for instruction in step.program.ranks[self.rank]:
            for part in instruction.parts:
                wanted = need(part, step.last_stage)
                if wanted is not None and step.remote.get(wanted) == self.rank:
                    yield step.arrived[wanted]
            start_s = env.now
            yield from self._chunk(instruction)
            step.done.append(
                Span(
                    self.rank, "chunk", str(instruction), start_s, env.now, instruction
                )
            )
            for part in instruction.parts:
                name = result(part)
                if name is not None and name in step.remote:
                    env.process(self._send(name))

    def _chunk(self, instruction: Instruction) -> Process:
        """Run one instruction's operations on the rank's streams."""
        env = self.step.env
        operations = self.step.operations(instruction)
        if len(operations) == 1:
            (operation,) = operations
            start_s = env.now
            yield env.timeout(self.step.lasting(operation.seconds))
            self._record(operation, start_s, instruction)
            return
        ended = [env.event() for _ in operations]
        lanes = []
        for stream in Stream:
            lane = [i for i, op in enumerate(operations) if op.stream is stream]
            if lane:
                lanes.append(lane)
        if len(lanes) == 1:  # nothing to overlap: no process of its own
            yield from self._stream(instruction, operations, lanes[0], ended)
            return
        yield simpy.AllOf(
            env,
            [
                env.process(self._stream(instruction, operations, lane, ended))
                for lane in lanes
            ],
        )

    def _stream(
        self,
        instruction: Instruction,
        operations: Sequence[Operation],
        lane: Sequence[int],
        ended: Sequence[simpy.Event],
    ) -> Process:
        step, env = self.step, self.step.env
        for index in lane:
            operation = operations[index]
            for needed in operation.needs:
                if not ended[needed].processed:
                    yield ended[needed]
            start_s = env.now
            yield env.timeout(step.lasting(operation.seconds))
            ended[index].succeed()
            self._record(operation, start_s, instruction)

    def _record(
        self, operation: Operation, start_s: float, instruction: Instruction
    ) -> None:
        self.step.spans.append(
            Span(
                self.rank,
                operation.stream.value,
                operation.name,
                start_s,
                self.step.env.now,
                instruction,
                operation,
            )
        )

    def _send(self, name: Instruction) -> Process:
        step, env = self.step, self.step.env
        receiver = step.remote[name]
        with step.links[self.rank, receiver].request() as turn:
            yield turn
            start_s = env.now
            send = DurationClass(SEND, self.rank, receiver)
            yield env.timeout(step.lasting(step.duration_s(send)))
        step.spans.append(
            Span(
                self.rank,
                link_stream(receiver),
                f"send {name}",
                start_s,
                env.now,
                name,
                receiver=receiver,
            )
        )
        step.arrived[name].succeed()


class _Step:
    """The environment that the ranks share."""

    def __init__(
        self,
        program: Program,
        duration_s: Callable[[DurationClass], float],
        operations: Lowering | None,
        jitter: Jitter | None,
    ) -> None:
        self.env = simpy.Environment()
        self.program, self.duration_s, self.jitter = program, duration_s, jitter
        self.last_stage = program.num_stages - 1
        self.remote = consumers(program)
        self.arrived = {name: self.env.event() for name in self.remote}
        self.links: defaultdict[tuple[int, int], simpy.Resource] = defaultdict(
            lambda: simpy.Resource(self.env)
        )
        self._lowered = operations
        self._cache: dict[DurationClass, Sequence[Operation]] = {}
        self.done: list[Span] = []
        self.spans: list[Span] = []

    def operations(self, instruction: Instruction) -> Sequence[Operation]:
        """Return the operations of an instruction: given ones, or one for the whole."""
        kind = duration_class(instruction)
        if kind not in self._cache:
            self._cache[kind] = (
                self._lowered(kind)
                if self._lowered
                else (Operation(kind.op.value, Stream.COMPUTE, self.duration_s(kind)),)
            )
        return self._cache[kind]

    def lasting(self, seconds: float) -> float:
        """Return how long an operation takes this time."""
        return self.jitter.scale(seconds) if self.jitter else seconds


def simulate_step(
    program: Program,
    duration_s: Callable[[DurationClass], float],
    *,
    operations: Lowering | None = None,
    jitter: Jitter | None = None,
) -> StepTrace:
    """Run one step of a checked program and return what happened when.

    Parameters
    ----------
    program : Program
        What each rank does.
    duration_s : callable
        Seconds of an instruction class, and of a send between two ranks.
    operations : callable, optional
        The operations inside an instruction class, for a run at their level; without
        it an instruction is one operation on the compute stream.
    jitter : Jitter, optional
        Random durations; without it the step is deterministic.

    Examples
    --------
    >>> from estimator.schedules.notation import Pipeline
    >>> from estimator.schedules.programs import program
    >>> made = program("gpipe", Pipeline(num_ranks=2, num_microbatches=3))
    >>> lasting = {"F": 1.0, "B": 2.0, "SEND": 0.0}
    >>> simulate_step(made, lambda kind: lasting[kind.op]).makespan_s
    12.0
    """
    step = _Step(program, duration_s, operations, jitter)
    for rank in range(len(program.ranks)):
        step.env.process(_Rank(step, rank).run())
    step.env.run()
    return StepTrace(tuple(step.done), tuple(step.spans))
