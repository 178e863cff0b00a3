"""The schedules by name: a registry of generators, and checked programs from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache

from estimator.ground.errors import InfeasibleError, InputError
from estimator.ground.registry import Registry
from estimator.schedules.check import check
from estimator.schedules.notation import Instruction, Pipeline, Program

MAX_CHUNKS = 40_000
"""Micro-batches times stages: so many are made and run in two seconds."""

Generator = Callable[[int, Pipeline], Iterator[Instruction]]

schedule: Registry[Generator] = Registry("schedule", package="estimator.schedules")
"""Schedule name -> generator of one rank's instructions."""


def program(name: str, pipeline: Pipeline) -> Program:
    """Return the checked program of the schedule called ``name``.

    Its ``pipeline.stages_per_rank`` says what the schedule made of None. At most
    :data:`MAX_CHUNKS` chunks, since each is played.

    Raises
    ------
    InputError
        If there is no such schedule, or it places another number of stages on a rank.
    InfeasibleError
        If the schedule refuses this shape.
    """
    check_size(pipeline)
    return _made(name, pipeline)


def check_size(pipeline: Pipeline) -> None:
    """Raise InfeasibleError where a shape has more than :data:`MAX_CHUNKS` chunks."""
    num_stages = pipeline.stages_per_rank or 1
    num_chunks = pipeline.num_ranks * num_stages * pipeline.num_microbatches
    if num_chunks > MAX_CHUNKS:
        stages = f" of {num_stages:,} stages" if num_stages > 1 else ""
        raise InfeasibleError(
            f"{pipeline.num_ranks:,} ranks{stages} x {pipeline.num_microbatches:,} "
            f"micro-batches are {num_chunks:,} chunks",
            why=f"each is looked at, and {MAX_CHUNKS:,} are the limit",
            fix="fewer ranks of a pipeline, fewer stages on each, or fewer "
            "micro-batches",
        )


def check_length(num_instructions: int) -> None:
    """Raise InfeasibleError where a program has more than two for each chunk."""
    if num_instructions > 2 * MAX_CHUNKS:
        raise InfeasibleError(
            f"a program of {num_instructions:,} instructions is too long",
            why=f"each is looked at, and {2 * MAX_CHUNKS:,} are the limit",
            fix="fewer ranks, fewer stages on each, or fewer micro-batches",
        )


@lru_cache(maxsize=32)
def _made(name: str, pipeline: Pipeline) -> Program:
    generate = schedule[name]
    first = tuple(generate(0, pipeline))
    check_length(len(first) * pipeline.num_ranks)
    others = (tuple(generate(rank, pipeline)) for rank in range(1, pipeline.num_ranks))
    ranks = (first, *others)
    made = Program(name, pipeline, ranks)
    placed = made.num_stages // pipeline.num_ranks
    if pipeline.stages_per_rank not in {None, placed}:
        raise InputError(
            f"{name} places {placed} of a micro-batch's stages on a rank, "
            f"not {pipeline.stages_per_rank}",
            fix=f"stages_per_rank: {placed}",
        )
    made = Program(name, replace(pipeline, stages_per_rank=placed), ranks)
    check(made)
    return made
