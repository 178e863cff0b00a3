"""A pipeline schedule on its own: its step, who idles how long, and what is alive."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from estimator.engine.evaluate import Clock, evaluate
from estimator.engine.graph import SEND, Graph, compile_program
from estimator.ground.errors import InputError
from estimator.schedules.closed_form import (
    ClosedForm,
    Durations,
    closed_form,
    durations,
)
from estimator.schedules.notation import Op, Pipeline, Program
from estimator.schedules.programs import program

ROUNDING = 1e-10
"""Idle time below this share of the step comes from rounding and is none."""


@dataclass(frozen=True)
class PipelineStep:
    """One step of a schedule with equal stages; seconds per rank."""

    graph: Graph
    clock: Clock
    bubble_s: tuple[float, ...]
    """The step less the rank's busy time."""
    inner_bubble_s: tuple[float, ...]
    """Idle time between the rank's first start and its last end."""
    closed_form: ClosedForm | None

    @property
    def step_s(self) -> float:
        """Seconds of the step."""
        return self.clock.makespan_s

    @property
    def bubble_fraction(self) -> float:
        """Mean over ranks of the bubble's share of the step."""
        if not self.step_s:
            return 0.0
        return math.fsum(self.bubble_s) / len(self.bubble_s) / self.step_s

    def to_dict(self) -> dict[str, object]:
        """Return plain numbers, lists and strings, as JSON shows them."""
        made = self.graph.program
        return {
            "schedule": made.schedule,
            "num_ranks": made.pipeline.num_ranks,
            "num_microbatches": made.pipeline.num_microbatches,
            "step_s": self.step_s,
            "bubble_s": list(self.bubble_s),
            "inner_bubble_s": list(self.inner_bubble_s),
            "bubble_fraction": self.bubble_fraction,
            "in_flight": list(made.in_flight()),
            "closed_form": self.closed_form and self.closed_form._asdict(),
            "program": [[str(step) for step in row] for row in made.ranks],
        }


def pipeline_step(
    schedule: str | Program,
    pipeline: Pipeline | None = None,
    spent: Durations | None = None,
    *,
    send_s: float = 0.0,
) -> PipelineStep:
    """Return one step of a schedule, by name and shape or as a checked program.

    Parameters
    ----------
    schedule : str or Program
        A schedule's name, or a program, which brings its own shape and is compared
        with no closed form.
    pipeline : Pipeline, optional
        The shape, for a name.
    spent : Durations, optional
        A rank's whole share of one micro-batch in one direction, so that each of
        ``v`` chunks lasts ``1 / v`` of it; a second per F, I and W unless given.
    send_s : float
        Seconds of a message between ranks.

    Raises
    ------
    InputError
        If the name or a duration is wrong.
    InfeasibleError
        If the schedule refuses the shape.

    Examples
    --------
    >>> pipeline_step("1f1b", Pipeline(num_ranks=4, num_microbatches=8)).bubble_s
    (9.0, 9.0, 9.0, 9.0)
    """
    if not (math.isfinite(send_s) and send_s >= 0):
        raise InputError(f"send_s is finite and not negative, got {send_s}")
    spent = spent or durations()
    expected = None
    if isinstance(schedule, Program):
        made = schedule
    elif pipeline is None:
        raise ValueError("a schedule's name needs a pipeline")
    else:
        made = program(schedule, pipeline)
        if schedule in closed_form:
            expected = closed_form[schedule](made.pipeline, spent)
    graph = compile_program(made)
    if expected and send_s and any(kind.op == SEND for kind in graph.classes):
        condition = f"{expected.condition}, and sends that take no time"
        expected = expected._replace(holds=False, condition=condition)
    lasting_s = _class_durations(graph, spent, send_s)
    clock = evaluate(graph, lasting_s)
    if not math.isfinite(clock.makespan_s):
        raise InputError("the durations add up to more than a number can hold")
    bubbles = _bubbles(graph, clock, lasting_s)
    return PipelineStep(graph, clock, *bubbles, expected)


def _class_durations(graph: Graph, spent: Durations, send_s: float) -> list[float]:
    """Return the seconds of each class: a chunk's share of its rank's."""
    made = graph.program
    share = len(made.ranks) / made.num_stages
    by_op = dict(zip((Op.F, Op.I, Op.W, Op.B, Op.FB), spent, strict=True))
    return [
        send_s if kind.op == SEND else by_op[Op(kind.op)] * share
        for kind in graph.classes
    ]


def _bubbles(
    graph: Graph, clock: Clock, lasting_s: list[float]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return each rank's idle time in the step, and between its first and last node."""
    num_ranks, step_s = len(graph.program.ranks), clock.makespan_s
    spans: list[list[tuple[float, float]]] = [[] for _ in range(num_ranks)]
    busy_s: list[list[float]] = [[] for _ in range(num_ranks)]
    for rank, kind, instruction, start_s, end_s in zip(
        graph.node_rank.tolist(),
        graph.node_class.tolist(),
        graph.instructions,
        clock.start_s,
        clock.end_s,
        strict=True,
    ):
        if instruction is not None:
            spans[rank].append((start_s, end_s))
            busy_s[rank].append(lasting_s[kind])

    def idle(seconds: float) -> float:
        return seconds if seconds > ROUNDING * step_s else 0.0

    bubble_s = tuple(idle(step_s - math.fsum(busy)) for busy in busy_s)
    inner_s = tuple(
        math.fsum(idle(after[0] - before[1]) for before, after in pairwise(row))
        for row in spans
    )
    return bubble_s, inner_s
