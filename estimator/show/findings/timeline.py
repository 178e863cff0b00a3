"""What each rank does when: in a scenario's step, or in schedules on their own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from estimator.engine.bubble import PipelineStep
from estimator.engine.graph import SEND
from estimator.engine.step import StepTrace
from estimator.ground.words import CLOSE, duration, several
from estimator.schedules.notation import Instruction, Op
from estimator.show.findings.base import Answered, Box, Panel, Timeline, finding

KINDS: Mapping[Op, str] = {
    Op.F: "forward",
    Op.FB: "overlapped",
    Op.B: "backward",
    Op.I: "backward input",
    Op.W: "weight",
}
UNITS = 150
"""Chunks beside each other up to which a step is drawn whole."""
MOST_UNITS = 90
"""Chunks beside each other in one window of a long step."""
FINEST = 3
"""A chunk counts at least as this part of a usual one."""
WINDOWS = ("warm-up", "steady", "cool-down")
Window = tuple[float, float]
"""First and last second."""


def timeline(answer: Answered) -> Timeline:
    """Show what each pipeline rank does when in one step: chunks as boxes."""
    step = answer.report.step
    said = _waiting(answer.trace, len(step.ranks), step.step_s)
    return Timeline(said, (_step_panel(answer, f"{answer.report.scenario}, one step"),))


finding("timeline")(timeline)


def step_timelines(answers: Mapping[str, Answered]) -> Timeline:
    """Return steps under each other by name, and how much of each ranks wait."""
    said = [
        f"{name} waits {_share(answer.report.step.bubble_fraction)} of "
        + duration(answer.report.step.step_s)
        for name, answer in answers.items()
    ]
    panels = (
        _step_panel(
            answer, f"{name}: step {duration(answer.report.step.step_s, CLOSE)}"
        )
        for name, answer in answers.items()
    )
    return Timeline(", ".join(said), tuple(panels))


def _step_panel(answer: Answered, name: str) -> Panel:
    """Return the chunks of a scenario's step."""
    step, trace = answer.report.step, answer.trace
    boxes: defaultdict[str, list[Box]] = defaultdict(list)
    for span in trace.instructions:
        boxes[KINDS[span.instruction.op]].append(
            Box(span.rank, span.start_s, span.end_s, span.name)
        )
    num_ranks = len(step.ranks)
    boxes["optimizer"] = [
        Box(rank, trace.makespan_s, step.step_s, "optimizer")
        for rank in range(num_ranks)
    ]
    return Panel(name, num_ranks, step.step_s, _sorted(boxes))


def alive(trace: StepTrace, rank: int) -> list[tuple[float, int]]:
    """Return when the chunks in flight on a rank change, and how many there are then.

    A chunk is alive from its forward pass to the end of its backward pass, or of its
    input half.
    """
    changes = []
    for span in trace.instructions:
        for part in span.instruction.parts if span.rank == rank else ():
            if part.op is Op.F:
                changes.append((span.start_s, 1))
            elif part.op is not Op.W:
                changes.append((span.end_s, -1))
    count, points = 0, [(0.0, 0)]
    for when_s, change in sorted(changes):
        points.append((when_s, count))
        count += change
        points.append((when_s, count))
    return points


def schedule_timeline(steps: Sequence[PipelineStep]) -> Timeline:
    """Return schedules on their own under each other, and how much each idles."""
    first, *others = steps
    said = f"{_name(first)} idles {_share(first.bubble_fraction)} of a step"
    for step in others:
        said += f", {_name(step)} {_share(step.bubble_fraction)}"
    return Timeline(said, tuple(map(_panel, steps)))


def _name(step: PipelineStep) -> str:
    """Return a schedule's name, or its file's without folders."""
    return step.graph.program.schedule.rpartition("/")[2]


def _share(fraction: float) -> str:
    return f"{fraction:.1%}" if 0 < fraction < 0.01 else f"{fraction:.0%}"


def _panel(step: PipelineStep) -> Panel:
    """Return a schedule's chunks, and its sends where they take time."""
    graph, made = step.graph, step.graph.program
    directions, num_ranks = made.directions(), len(made.ranks)
    has_stages = made.num_stages > num_ranks

    def label(part: Instruction) -> str:
        stage = str(part.stage) if has_stages or any(directions.values()) else ""
        return f"{stage}{part.op.value}{part.microbatch}"

    boxes: defaultdict[str, list[Box]] = defaultdict(list)
    for rank, kind, instruction, start_s, end_s in zip(
        graph.node_rank.tolist(),
        graph.node_class.tolist(),
        graph.instructions,
        step.clock.start_s,
        step.clock.end_s,
        strict=True,
    ):
        if end_s <= start_s:
            continue
        if instruction is not None:
            words = "+".join(map(label, instruction.parts))
            box = Box(rank, start_s, end_s, words)
            boxes[KINDS[instruction.op]].append(box)
        elif graph.classes[kind].op == SEND:
            receiver = graph.classes[kind].partner
            shift = 1 if receiver > rank else -1
            words = f"send to rank {receiver}"
            boxes["send"].append(Box(rank, start_s, end_s, words, shift))
    count = several(f"{made.pipeline.num_microbatches:,}", "micro-batch")
    shape = f"{several(f'{num_ranks:,}', 'rank')}, {count}"
    name = f"{_name(step)}: {shape}, step {duration(step.step_s, CLOSE)}"
    return Panel(name, num_ranks, step.step_s, _sorted(boxes))


def _sorted(boxes: Mapping[str, Iterable[Box]]) -> dict[str, tuple[Box, ...]]:
    kinds = (*KINDS.values(), "optimizer", "send")
    return {kind: tuple(boxes[kind]) for kind in kinds if boxes.get(kind)}


def windows(made: Timeline) -> tuple[Window, ...]:
    """Return the whole step, or of a long one its start, a steady part and its end.

    All panels share the windows; the last one shows each panel's end, if they lie
    near each other. A long optimizer is cut.
    """
    chunks = [
        box
        for panel in made.panels
        for kind, boxes in panel.boxes.items()
        if kind not in {"send", "optimizer"}
        for box in boxes
    ]
    if not chunks:
        return ((0.0, made.end_s or 1.0),)
    lasting = [box.end_s - box.start_s for box in chunks]
    unit_s = max(min(lasting), median(lasting) / FINEST)
    if made.end_s <= UNITS * unit_s:
        return ((0.0, made.end_s),)
    wide_s = UNITS / len(WINDOWS) * unit_s
    wide_s = min(max(wide_s, 1.25 * _filled_s(made)), MOST_UNITS * unit_s)
    end_s = min(made.end_s, max(box.end_s for box in chunks) + wide_s / 4)
    spread_s = made.end_s - min(panel.step_s for panel in made.panels)
    ends_s = max(wide_s, spread_s + wide_s / 2)
    last_s = end_s - (ends_s if ends_s <= MOST_UNITS * unit_s else wide_s)
    middle_s = (made.end_s - wide_s) / 2
    if middle_s <= wide_s or middle_s + wide_s >= last_s:
        return ((0.0, made.end_s),)
    return (
        (0.0, wide_s),
        (middle_s, middle_s + wide_s),
        (last_s, end_s),
    )


def _filled_s(made: Timeline) -> float:
    """Return when every rank has begun with something other than forward passes."""
    latest_s = 0.0
    for panel in made.panels:
        first_s: dict[int, float] = {}
        for kind, boxes in panel.boxes.items():
            for box in boxes if kind not in {"forward", "send", "optimizer"} else ():
                first_s[box.rank] = min(box.start_s, first_s.get(box.rank, box.start_s))
        latest_s = max(latest_s, *first_s.values()) if first_s else latest_s
    return latest_s


def _waiting(trace: StepTrace, num_ranks: int, step_s: float) -> str:
    """Say how much ranks wait, and how much of it at the ends of the step."""
    first_s, last_s = [trace.makespan_s] * num_ranks, [0.0] * num_ranks
    busy_s = [0.0] * num_ranks
    for span in trace.instructions:
        first_s[span.rank] = min(first_s[span.rank], span.start_s)
        last_s[span.rank] = max(last_s[span.rank], span.end_s)
        busy_s[span.rank] += span.end_s - span.start_s
    waiting = num_ranks * trace.makespan_s - sum(busy_s)
    inside = sum(last_s) - sum(first_s) - sum(busy_s)
    if waiting <= 0:
        return "Ranks never wait for each other"
    return (
        f"Ranks wait {waiting / num_ranks / step_s:.0%} of a step, "
        f"{inside / waiting:.0%} of that between their chunks, the rest at its ends"
    )
