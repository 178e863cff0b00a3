"""Passes as numbers say what the notation says, and the checker reads them strictly."""

from dataclasses import replace
from itertools import chain

import pytest

from estimator.ground.errors import ScheduleError
from estimator.schedules.check import check
from estimator.schedules.notation import (
    Instruction,
    Op,
    Pipeline,
    Program,
    need,
    result,
)
from estimator.schedules.order import named, order, passes
from estimator.schedules.programs import program, schedule


@pytest.mark.parametrize("name", list(schedule))
def test_numbers_name_what_passes_need_and_leave(name):
    made = program(name, Pipeline(4, 8))
    found, parts = passes(made), [p for row in made.ranks for s in row for p in s.parts]
    for numbers, tell in (
        (found.needs, lambda part: need(part, made.num_stages - 1)),
        (found.results, result),
    ):
        told = [
            None if number == found.nothing else named(number, 8)
            for number in numbers.tolist()
        ]
        assert told == list(map(tell, parts))


@pytest.mark.parametrize("name", list(schedule))
def test_an_order_runs_each_instruction_once_and_behind_what_it_needs(name):
    made = program(name, Pipeline(4, 8))
    found = order(made, passes(made))
    assert sorted(found.done) == list(range(sum(map(len, made.ranks))))
    assert not found.stuck
    steps, there = list(chain(*made.ranks)), {None}
    for index in found.done:
        for part in steps[index].parts:
            assert need(part, made.num_stages - 1) in there
        there |= set(map(result, steps[index].parts))


def test_ranks_that_wait_for_each_other_stand_where_they_wait():
    made = program("1f1b", Pipeline(2, 1))
    first, last = made.ranks
    stuck = replace(made, ranks=(first[::-1], last))
    found = order(stuck, passes(stuck)).stuck
    told = {rank: (step, str(named(name, 1))) for rank, (step, name) in found.items()}
    assert told == {0: (0, "1B0"), 1: (0, "0F0")}


@pytest.mark.parametrize(
    "odd",
    [Instruction(0, Op.F, -1), Instruction(-1, Op.F, 0), Instruction(0, Op.FB, 0)],
)
def test_what_is_no_pass_of_a_stage_is_refused(odd):
    made = program("gpipe", Pipeline(2, 2))
    rows = ((*made.ranks[0], odd), made.ranks[1])
    with pytest.raises(ScheduleError, match="is not complete"):
        check(Program("gpipe", made.pipeline, rows))


def test_a_stage_far_beyond_the_others_is_refused_without_tables_of_its_size():
    made = program("gpipe", Pipeline(2, 2))
    rows = ((*made.ranks[0], Instruction(10**8, Op.F, 0)), made.ranks[1])
    with pytest.raises(ScheduleError, match="is not complete"):
        check(Program("gpipe", made.pipeline, rows))


def test_a_program_in_which_nobody_does_anything_has_no_passes():
    idle = Program("idle", Pipeline(2, 1), ((), ()))
    assert passes(idle).stage.size == passes(idle).rank.size == 0
