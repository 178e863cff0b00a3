"""A pipeline schedule on its own, by name or from a file: its step, and its words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from estimator.catalog import reading
from estimator.engine.bubble import PipelineStep, pipeline_step
from estimator.ground.documents import MAX_DATA_BYTES
from estimator.ground.errors import EstimatorError, InputError
from estimator.ground.words import several
from estimator.schedules.closed_form import Durations
from estimator.schedules.notation import Pipeline
from estimator.schedules.programs import schedule
from estimator.schedules.text import parse_program
from estimator.show.grid import draw, shown_ranks

COLUMNS = ("rank", "bubble s", "inner s", "in flight", "stages")


def _is_file(name: str) -> bool:
    """Whether somebody names a file, not a schedule."""
    return "/" in name or name.endswith(".csv")


def load_step(
    name: str,
    num_ranks: int | None,
    num_microbatches: int | None,
    stages_per_rank: int | None,
    spent: Durations,
    *,
    send_s: float = 0.0,
) -> PipelineStep:
    """Return one step of a built-in schedule, or of a CSV file's.

    A file brings its shape; what is given beside it must be the same.

    Raises
    ------
    InputError
        If the name, the file, the shape or a duration is wrong.
    InfeasibleError
        If the schedule refuses the shape.
    ScheduleError
        If the file's schedule is incomplete or cannot finish.
    """
    if not _is_file(name):
        schedule[name]  # a wrong name is said first
        if num_ranks is None or num_microbatches is None:
            raise InputError(
                f"the schedule {name!r} needs a shape",
                fix="--ranks 4 --microbatches 8",
            )
        pipeline = Pipeline(num_ranks, num_microbatches, stages_per_rank)
        return pipeline_step(name, pipeline, spent, send_s=send_s)
    text = reading.read_text(reading.existing(name), MAX_DATA_BYTES)
    made = parse_program(text, name)
    for option, said, has in (
        ("--ranks", num_ranks, made.pipeline.num_ranks),
        ("--microbatches", num_microbatches, made.pipeline.num_microbatches),
        ("--stages-per-rank", stages_per_rank, made.pipeline.stages_per_rank),
    ):
        if said not in {None, has}:
            raise InputError(
                f"{option} is {said}, but {name} has {has}",
                fix=f"leave {option} out: the file says it",
            )
    return pipeline_step(made, None, spent, send_s=send_s)


def load_others(
    names: Sequence[str],
    step: PipelineStep,
    stages_per_rank: int | None,
    spent: Durations,
    *,
    send_s: float = 0.0,
) -> list[PipelineStep]:
    """Return steps of other schedules, in the shape of the first one.

    A schedule that always places another number of stages on a rank keeps its own.
    """
    shape = step.graph.program.pipeline
    sizes = (shape.num_ranks, shape.num_microbatches)
    steps = []
    for name in names:
        if _is_file(name):
            steps.append(load_step(name, None, None, None, spent, send_s=send_s))
            continue
        schedule[name]  # a wrong name is said first
        try:
            made = load_step(name, *sizes, stages_per_rank, spent, send_s=send_s)
        except EstimatorError:
            if stages_per_rank is None:
                raise
            made = load_step(name, *sizes, None, spent, send_s=send_s)
        steps.append(made)
    return steps


def describe(step: PipelineStep, width: int, *, has_notes: bool = True) -> list[str]:
    """Return what a person reads: the grid, each rank's figures, the closed form."""
    made = step.graph.program
    return [
        f"{made.schedule}: {several(f'{made.pipeline.num_ranks:,}', 'rank')}, "
        f"{several(f'{made.pipeline.num_microbatches:,}', 'micro-batch')}",
        "",
        *draw(step, width, has_legend=has_notes),
        "",
        *_table(step),
        "",
        f"step {step.step_s:.6g} s, bubble {step.bubble_fraction:.1%} of it "
        "(mean over ranks)",
        *_closed_form(step),
        *(NOTES if has_notes else ()),
    ]


NOTES = (
    "",
    "bubble: step less busy time; inner: idle between a rank's first and last pass;",
    "in flight: most activations kept at once, one per chunk",
)


def _table(step: PipelineStep) -> Iterator[str]:
    """Yield the figures of each rank, under one heading."""
    made, alive = step.graph.program, step.graph.program.in_flight()
    rows = [COLUMNS] + [
        ("...",) * len(COLUMNS)
        if rank is None
        else (
            str(rank),
            f"{step.bubble_s[rank]:.6g}",
            f"{step.inner_bubble_s[rank]:.6g}",
            str(alive[rank]),
            _listed(made.stages_of(rank)),
        )
        for rank in shown_ranks(len(made.ranks))
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        *figures, stages = (
            cell.rjust(wide) for cell, wide in zip(row, widths, strict=True)
        )
        yield "  ".join((*figures, stages.strip()))


def _listed(stages: tuple[int, ...]) -> str:
    """Return stages in few words.

    >>> _listed((0, 7)), _listed(tuple(range(3, 90, 4)))
    ('0, 7', '3, 7, 11, ... 87 (22)')
    """
    if len(stages) <= 6:
        return ", ".join(map(str, stages))
    first = ", ".join(map(str, stages[:3]))
    return f"{first}, ... {stages[-1]} ({len(stages)})"


def _closed_form(step: PipelineStep) -> Iterator[str]:
    """Yield the formula's bubble, whether it holds, and when."""
    form = step.closed_form
    if form is None:
        yield f"closed form: none for {step.graph.program.schedule}"
        return
    low, high = (f"{end(step.bubble_s):.6g}" for end in (min, max))
    verdict = "holds here" if form.holds else "does not hold here"
    yield f"closed form: bubble {form.bubble_s:.6g} s on every rank, {verdict}; " + (
        f"simulated {low} s" if low == high else f"simulated {low} to {high} s"
    )
    yield f"it holds for: {form.condition}"
