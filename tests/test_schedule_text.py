"""Programs survive being written and read; a bad one gets one clear message."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loops import each

from estimator.engine.bubble import pipeline_step
from estimator.ground.errors import EstimatorError, InputError, ScheduleError
from estimator.schedules.notation import Pipeline
from estimator.schedules.programs import program, schedule
from estimator.schedules.text import format_program, parse_program

GOOD = """\
0F0,0F1,0F2,0B0,0F3,0B1,0B2,0B3
1F0,1F1,1B0,1F2,1B1,1F3,1B2,1B3
2F0,2B0,2F1,2B1,2F2,2B2,2F3,2B3
"""


def test_the_notation_is_that_of_torch():
    assert format_program(program("1f1b", Pipeline(3, 4))) == GOOD
    rows = format_program(program("dualpipe", Pipeline(2, 4))).splitlines()
    assert rows[0] == "0F0,1F2,0F1,1B2,(1F3;0B0)OVERLAP_F_B,1B3,0I1,0W1"


@each("name", list(schedule))
@each(("num_ranks", "n"), [(2, 4), (4, 8), (6, 24)])
def test_every_schedule_survives_a_round_trip(name, num_ranks, n):
    made = program(name, Pipeline(num_ranks, n))
    assert parse_program(format_program(made), name) == made


def test_empty_cells_spaces_and_line_ends_mean_nothing():
    torn = GOOD.replace("1F0", ",, 1F0 ").replace("2F0", "\t2F0").replace("\n", ",\r\n")
    assert parse_program("\ufeff" + torn, "1f1b") == program("1f1b", Pipeline(3, 4))


def test_a_read_program_is_simulated_like_the_one_it_is():
    read = pipeline_step(parse_program(GOOD, "mine"))
    assert read.step_s == pipeline_step("1f1b", Pipeline(3, 4)).step_s
    assert read.closed_form is None
    assert read.to_dict()["schedule"] == "mine"


def test_an_odd_placement_is_read():
    made = parse_program("0F0,2F0,2B0,0B0\n1F0,1B0\n", "mine")
    assert made.stages_of(0) == (0, 2)
    assert made.pipeline == Pipeline(2, 1, 2)


BAD = {
    "missing backward": (GOOD.replace("1B2,", ""), "rank 1, step 3: 1F2 runs, but 1B2"),
    "missing weight": ("0F0,0I0", "rank 0, step 0: 0F0 runs, but 0W0 is missing"),
    "duplicate forward": (
        GOOD.replace("1F2", "1F1"),
        "rank 1, step 1: 1F1 runs again at rank 1, step 3",
    ),
    "whole and halves": ("0F0,0B0,0I0,0W0", "both whole and in halves"),
    "deadlock": (
        GOOD.replace("2F0,2B0", "2B0,2F0"),
        "rank 2, step 0: 2B0 waits for 2F0",
    ),
    "ragged": (GOOD[:-9], "rank 2: no 2F3 and 2B3"),
    "a row too few": (GOOD[32:], "all ranks: no 0F0 and 0B0"),
    "a gap": ("0F0,0B0\n2F0,2B0\n", "no 1F0"),
    "a far microbatch": ("0F0,0B0,0F999999999", "no 0F1"),
    "garbage": ("once,upon\na,time", "row 1, column 1: 'once'"),
    "one bad cell": (GOOD.replace("1B1", "1X1"), "row 2, column 5: '1X1'"),
    "semicolons": (GOOD.replace(",", ";"), "row 1, column 1"),
    "huge number": ("0F" + "9" * 5000, "row 1, column 1"),
    "huge cell": ("x" * 200_000, "field larger than"),
    "foreign digits": ("\u0663F0", "row 1, column 1"),
    "sends": ("0F0,0SEND_F0,0B0", "row 1, column 2: '0SEND_F0'"),
    "empty row": ("0F0,0B0\n\n1F0,1B0", "row 2: rank 1 has no instructions"),
    "empty": ("", "is empty"),
    "blank": (" \n\n", "is empty"),
    "only commas": (",,,\n,,", "row 1: rank 0 has no instructions"),
    "binary": ("\x7fELF\x02\x01\0\0", "is not text: it contains '\\x7f'"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_program_gets_one_message_that_says_where(case):
    text, said = BAD[case]
    with pytest.raises(EstimatorError) as error:
        parse_program(text, "mine")
    assert said in str(error.value)
    assert "'mine'" in error.value.what
    assert len(str(error.value).splitlines()) < 20


def test_a_deadlock_shows_the_grid_around_each_rank():
    with pytest.raises(ScheduleError) as error:
        parse_program(BAD["deadlock"][0], "mine")
    assert "rank 0: 0F0 0F1 0F2 [0B0] 0F3 0B1 0B2 ..." in str(error.value)


def test_many_bad_cells_are_counted():
    with pytest.raises(InputError) as error:
        parse_program(",".join(["?"] * 40), "mine")
    assert error.value.where[-1] == "and 35 more"


@pytest.mark.parametrize("name", list(schedule))
@settings(max_examples=20)
@given(data=st.data())
def test_no_cell_of_a_program_is_superfluous(name, data):
    rows = format_program(program(name, Pipeline(4, 8))).splitlines()
    rank = data.draw(st.integers(0, len(rows) - 1))
    cells = rows[rank].split(",")
    del cells[data.draw(st.integers(0, len(cells) - 1))]
    rows[rank] = ",".join(cells)
    with pytest.raises(ScheduleError):
        parse_program("\n".join(rows), "mine")


cell = st.from_regex(r"[0-2][FIWB][0-2]", fullmatch=True) | st.text(max_size=6)
texts = st.text() | st.lists(st.lists(cell, max_size=6).map(",".join)).map("\n".join)


@pytest.mark.slow
@settings(max_examples=300)
@given(texts)
def test_any_text_is_a_program_or_one_clear_error(text):
    try:
        made = parse_program(text, "mine")
    except EstimatorError:
        return
    assert parse_program(format_program(made), "mine") == made
