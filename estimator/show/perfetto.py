"""A step as Chrome trace events, which Perfetto and chrome://tracing open.

A process is a pipeline rank. Its threads are its streams: computation, communication
and one per outgoing link; above them stands what the schedule runs. Slices of a thread
never overlap, as Perfetto wants it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import lru_cache
from typing import Any, NamedTuple

from estimator.answer import provenance
from estimator.answer.step_model import TracedStep
from estimator.engine.operations import Operation, Stream
from estimator.engine.step import Span
from estimator.engine.tape import NO_NODE
from estimator.schedules.notation import Instruction, Op, Program
from estimator.specs.scenario import Scenario
from estimator.workload.optimizer_parts import SYNCHRONISATION, OptimizerPart

Event = dict[str, Any]

TICKS_PER_US = 8
"""Times lie on eighths of a microsecond: three decimals, and exact as binary numbers,
so that a slice ends exactly where the next one starts."""
THREADS_PER_RANK = 1000
"""Threads of rank r count from 1000 (r + 1): a thread with its process's number would
pass for the main thread."""


class Track(NamedTuple):
    """A thread of a rank; they lie in this order, links last."""

    place: int
    receiver: int
    """Of a link; -1 for others."""
    name: str


SCHEDULE = Track(0, NO_NODE, "schedule")
STREAMS = {
    stream: Track(place, NO_NODE, stream.value)
    for place, stream in enumerate(Stream, SCHEDULE.place + 1)
}
LINKS = len(STREAMS) + 1
"""The place of links."""
HALVES = ("forward", "backward")
PASSES = {
    Op.F: "forward",
    Op.B: "backward",
    Op.I: "backward to the input",
    Op.W: "backward to the weights",
}


def events(step: TracedStep) -> list[Event]:
    """Return the names of processes and threads, then all slices by start time."""
    made = step.program
    directions = made.directions()
    slices: defaultdict[tuple[int, Track], list[Event]] = defaultdict(list)
    for rank, track, event in (
        *_instructions(step, directions),
        *_operations(step, directions),
        *_optimizer(step),
    ):
        slices[rank, track].append(event)
    tracks_of: defaultdict[int, list[Track]] = defaultdict(list)
    for rank, track in slices:
        tracks_of[rank].append(track)
    named: list[Event] = []
    timed: list[Event] = []
    for rank in range(len(made.ranks)):
        named += _process(made, rank)
        first = THREADS_PER_RANK * (rank + 1)
        for number, track in enumerate(sorted(tracks_of[rank]), first):
            thread = {"pid": rank, "tid": number}
            named += _thread(thread, track.name, number)
            timed += [event | thread for event in slices[rank, track]]
    return named + sorted(timed, key=lambda event: (event["ts"], event["tid"]))


def about(step: TracedStep, scenario: Scenario) -> dict[str, Any]:
    """Return what a trace shows and where it comes from."""
    return {
        "scenario": scenario.name,
        "gpu": scenario.cluster.node.gpu.name,
        "num_gpus": scenario.cluster.num_gpus,
        "step_s": step.step_s,
        "provenance": asdict(provenance.of_scenario(scenario)),
    }


def _process(made: Program, rank: int) -> list[Event]:
    held = made.stages_of(rank)
    words = "stage" if len(held) == 1 else "stages"
    name = f"rank {rank}, {words} {', '.join(map(str, held))}"
    return [
        _named("process_name", {"pid": rank}, name=name),
        _named("process_sort_index", {"pid": rank}, sort_index=rank),
    ]


def _thread(thread: Mapping[str, int], stream: str, number: int) -> list[Event]:
    return [
        _named("thread_name", thread, name=stream),
        _named("thread_sort_index", thread, sort_index=number),
    ]


def _named(kind: str, of: Mapping[str, int], **args: str | int) -> Event:
    return {"ph": "M", "name": kind, **of, "args": args}


def _slice(
    name: str, category: str, start_s: float, end_s: float, args: Mapping[str, Any]
) -> Event:
    start, end = (round(seconds * 1e6 * TICKS_PER_US) for seconds in (start_s, end_s))
    return {
        "ph": "X",
        "name": name,
        "cat": category,
        "ts": start / TICKS_PER_US,
        "dur": (end - start) / TICKS_PER_US,
        "args": args,
    }


def _instructions(
    step: TracedStep, directions: Mapping[int, int]
) -> Iterator[tuple[int, Track, Event]]:
    for span in step.pipeline.instructions:
        parts = [_part_args(part, directions) for part in span.instruction.parts]
        args = parts[0] if len(parts) == 1 else dict(zip(HALVES, parts, strict=True))
        yield (
            span.rank,
            SCHEDULE,
            _slice(span.name, SCHEDULE.name, span.start_s, span.end_s, args),
        )


def _part_args(part: Instruction, directions: Mapping[int, int]) -> dict[str, Any]:
    return {
        "microbatch": part.microbatch,
        "stage": part.stage,
        "direction": directions[part.microbatch],
        "pass": PASSES[part.op],
    }


def _operations(
    step: TracedStep, directions: Mapping[int, int]
) -> Iterator[tuple[int, Track, Event]]:
    for span in step.pipeline.streams:
        if span.end_s == span.start_s:
            continue
        if span.operation is None:
            args = _part_args(span.instruction, directions)
            args["bytes"] = round(step.send_bytes)
            category, track = "send", Track(LINKS, span.receiver, span.stream)
        else:
            args = _part_args(_half(span, span.operation), directions)
            args |= _operation_args(span.operation)
            category, track = span.stream, STREAMS[span.operation.stream]
        made = _slice(span.name, category, span.start_s, span.end_s, args)
        yield span.rank, track, made


def _half(span: Span, operation: Operation) -> Instruction:
    """Return the simple instruction that an operation belongs to."""
    if span.instruction.partner is None:
        return span.instruction
    forward, backward = span.instruction.parts
    return forward if operation.op == Op.F else backward


@lru_cache(maxsize=4096)
def _operation_args(operation: Operation) -> Mapping[str, Any]:
    made: dict[str, Any] = {
        "operation": operation.task,
        "layer": operation.layer,
        "seconds": {kind: _rounded(spent) for kind, spent in operation.parts if spent},
        "flop": round(operation.flop),
        "bytes": round(operation.num_bytes),
    }
    if operation.op:
        made["pass"] = PASSES[operation.op]
    return made


def _rounded(seconds: float) -> float:
    """Return six digits, which keeps the file small."""
    return float(f"{seconds:.6g}")


def _optimizer(step: TracedStep) -> Iterator[tuple[int, Track, Event]]:
    """Yield the optimizer phase: all ranks begin it together, when the last is done."""
    start_s = step.pipeline.makespan_s
    for part in OptimizerPart:
        seconds, name = step.optimizer_parts.get(part, 0.0), part.value
        if not seconds:
            continue
        is_sent = part in SYNCHRONISATION
        stream = Stream.COMMUNICATION if is_sent else Stream.COMPUTE
        args = {"operation": name, "seconds": {name: _rounded(seconds)}}
        for rank in range(len(step.program.ranks)):
            made = _slice(name, "optimizer", start_s, start_s + seconds, args)
            yield rank, STREAMS[stream], made
        start_s += seconds
