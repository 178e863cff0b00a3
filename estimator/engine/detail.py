"""One step operation by operation, from the compiled graph's clock.

It says the same as :func:`estimator.engine.step.simulate_step` with operations and
without jitter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from itertools import groupby

from estimator.engine.evaluate import Clock, evaluate
from estimator.engine.graph import JOIN, DurationClass, Graph, Lowering, compile_program
from estimator.engine.step import Span, StepTrace, link_stream
from estimator.engine.tape import NO_NODE
from estimator.schedules.notation import Program


def detailed_step(
    program: Program,
    duration_s: Callable[[DurationClass], float],
    operations: Lowering,
) -> StepTrace:
    """Return what happens when in one step of a checked program.

    Parameters
    ----------
    program : Program
        What each rank does.
    duration_s : callable
        Seconds of a send between two ranks.
    operations : callable
        The operations inside an instruction class.

    Returns
    -------
    StepTrace
        Instructions, and every stream's spans, in seconds since the step began.
    """
    lowered = cache(operations)
    graph = compile_program(program, lowered)
    clock = evaluate(graph, class_seconds(graph, duration_s, lowered))
    return StepTrace(
        tuple(_instructions(graph, clock)), tuple(_streams(graph, clock, lowered))
    )


def class_seconds(
    graph: Graph, duration_s: Callable[[DurationClass], float], operations: Lowering
) -> list[float]:
    """Return the duration of each class of a graph of operations.

    Parameters
    ----------
    graph : Graph
        Compiled with the same ``operations``.
    duration_s : callable
        Seconds of a send between two ranks.
    operations : callable
        The operations inside an instruction class.
    """
    return [
        operations(kind)[index].seconds
        if index != NO_NODE
        else 0.0
        if kind.op == JOIN
        else duration_s(kind)
        for kind, index in zip(graph.classes, graph.class_operation, strict=True)
    ]


def _instructions(graph: Graph, clock: Clock) -> Iterator[Span]:
    """Yield each instruction from its first node, which waits for none, to its last."""
    ranks = graph.node_rank.tolist()
    numbered = enumerate(graph.instructions)
    for instruction, group in groupby(numbered, key=lambda item: item[1]):
        if instruction is None:
            continue
        nodes = [node for node, _ in group]
        yield Span(
            ranks[nodes[0]],
            "chunk",
            str(instruction),
            clock.start_s[nodes[0]],
            clock.end_s[nodes[-1]],
            instruction,
        )


def _streams(graph: Graph, clock: Clock, operations: Lowering) -> Iterator[Span]:
    """Yield each operation and each send."""
    classes = list(zip(graph.classes, graph.class_operation, strict=True))
    for rank, number, instruction, message, start_s, end_s in zip(
        graph.node_rank.tolist(),
        graph.node_class.tolist(),
        graph.instructions,
        graph.messages,
        clock.start_s,
        clock.end_s,
        strict=True,
    ):
        kind, index = classes[number]
        if message is not None:
            yield Span(
                rank,
                link_stream(kind.partner),
                f"send {message}",
                start_s,
                end_s,
                message,
                receiver=kind.partner,
            )
        elif index != NO_NODE and instruction is not None:
            made = operations(kind)[index]
            stream = made.stream.value
            yield Span(rank, stream, made.name, start_s, end_s, instruction, made)
