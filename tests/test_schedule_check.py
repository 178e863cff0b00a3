"""The checker refuses what is incomplete or cannot finish, and says where."""

from dataclasses import replace

import pytest

from estimator.ground.errors import ScheduleError
from estimator.schedules.check import check
from estimator.schedules.notation import Instruction, Op, Pipeline, Program
from estimator.schedules.programs import program, schedule

NAMES = list(schedule)


@pytest.mark.parametrize("name", NAMES)
def test_a_program_without_one_of_its_instructions_is_refused(name):
    made = program(name, Pipeline(4, 8))
    for rank, row in enumerate(made.ranks):
        step = (7 * rank + 3) % len(row)
        cut = (
            *made.ranks[:rank],
            row[:step] + row[step + 1 :],
            *made.ranks[rank + 1 :],
        )
        with pytest.raises(ScheduleError, match="is not complete"):
            check(replace(made, ranks=cut))


@pytest.mark.parametrize("name", NAMES)
def test_a_program_that_does_something_twice_is_refused(name):
    made = program(name, Pipeline(4, 8))
    longer = (*made.ranks[:-1], (*made.ranks[-1], made.ranks[-1][0]))
    with pytest.raises(ScheduleError, match="runs again at rank"):
        check(replace(made, ranks=longer))


@pytest.mark.parametrize("name", NAMES)
def test_a_backward_pass_before_everything_waits_for_ever(name):
    if name == "forward-only":
        made = Program("x", Pipeline(2, 1), ((f(0, 0),), (f(1, 0),)))
        assert check(made) is None  # it has no backward pass to put first
        return
    made = program(name, Pipeline(4, 8))
    row = list(made.ranks[0])
    first = next(i for i, step in enumerate(row) if step.op in {Op.B, Op.I})
    stuck = ((row.pop(first), *row), *made.ranks[1:])
    with pytest.raises(ScheduleError, match="wait for each other") as error:
        check(replace(made, ranks=stuck))
    assert error.value.where[0].startswith(f"rank 0, step 0: {stuck[0][0]} waits for ")


def f(stage, microbatch):
    return Instruction(stage, Op.F, microbatch)


def test_a_deadlock_names_who_waits_for_what_and_shows_the_grid():
    ranks = (
        (Instruction(0, Op.B, 0), f(0, 0)),
        (f(1, 0), Instruction(1, Op.B, 0)),
    )
    with pytest.raises(ScheduleError) as error:
        check(Program("mine", Pipeline(2, 1), ranks))
    assert error.value.where == (
        "rank 0, step 0: 0B0 waits for 1B0",
        "rank 1, step 0: 1F0 waits for 0F0",
        "rank 0: [0B0] 0F0",
        "rank 1: [1F0] 1B0",
    )


def test_a_backward_pass_on_another_rank_than_its_forward_pass_is_refused():
    ranks = ((f(0, 0),), (f(1, 0), Instruction(1, Op.B, 0), Instruction(0, Op.B, 0)))
    with pytest.raises(ScheduleError) as error:
        check(Program("mine", Pipeline(2, 1), ranks))
    assert error.value.where[0] == "rank 0, step 0: 0F0 runs, but 0B0 runs on rank 1"
