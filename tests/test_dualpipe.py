"""DualPipe and DualPipeV follow their published construction, instruction by instruction."""

from collections import Counter

import pytest
from loops import each

from estimator.schedules.notation import Op, Pipeline
from estimator.schedules.programs import program, schedule


def expected_row(half, rank, per_phase, *, is_middle):
    """Return the eight steps of DualPipe: operations and phases, P an overlapped pair."""
    before, here = half - rank - 1, rank + 1
    pairs = ["P01", "P10"] * (per_phase - 2 * half + here)
    if is_middle:
        pairs[:1] = ["F0", "B1"]
    return (
        ["F0"] * 2 * before
        + ["F0", "F1"] * here
        + ["I1", "W1", "F1"] * before
        + pairs
        + ["B1", "P10"] * before
        + (["B1", "B0"] * here)[:here]
        + (["I1", "I0"] * here)[here:]
        + weights_and_inputs(before, here)
    )


def weights_and_inputs(before, here):
    """Return the last two steps; weights run in the order that their inputs did."""
    owed = (["W1", "W0"] * here)[here:] + ["W0"] * before
    return [step for weight in owed[:before] for step in (weight, "I0")] + owed[before:]


def written(row):
    """Return a row as operations and phases; the first chunk is of phase 0."""
    first = row[0].stage
    return [
        letter(step) + "".join(str(int(part.stage != first)) for part in step.parts)
        for step in row
    ]


def letter(step):
    return "P" if step.op is Op.FB else step.op.value


def letters(row):
    return "".join(map(letter, row))


@pytest.mark.slow
@each("num_ranks", range(2, 33, 2))
def test_dualpipe_follows_its_eight_steps(num_ranks):
    half = num_ranks // 2
    for n in {
        2 * num_ranks,
        2 * num_ranks + 2,
        3 * num_ranks + half % 2 * 2,
        4 * num_ranks,
    }:
        for rank in range(num_ranks):
            row = list(schedule["dualpipe"](rank, Pipeline(num_ranks, n)))
            end = min(rank, num_ranks - 1 - rank)
            middle = end == half - 1
            assert written(row) == expected_row(half, end, n // 2, is_middle=middle)
            assert Counter(letters(row)) == {
                "F": 3 * half - 1 - end + middle,
                "P": n - 2 * num_ranks + half + 1 + end - middle,
                "B": half + middle,
                "I": num_ranks - 1 - end,
                "W": num_ranks - 1 - end,
            }
            assert in_order(row)


@pytest.mark.slow
@each("num_ranks", range(2, 33, 2))
def test_dualpipe_v_follows_its_eight_steps(num_ranks):
    for n in (2 * num_ranks, 2 * num_ranks + 1, 4 * num_ranks):
        for rank in range(num_ranks):
            row = list(schedule["dualpipe-v"](rank, Pipeline(num_ranks, n)))
            middle = rank == num_ranks - 1
            assert written(row) == expected_row(num_ranks, rank, n, is_middle=middle)
            assert in_order(row)


def in_order(row):
    """Say whether each stage takes its micro-batches in order, either way."""
    taken = {}
    for part in (part for step in row for part in step.parts):
        op = Op.B if part.op is Op.I else part.op
        taken.setdefault((part.stage, op), []).append(part.microbatch)
    return all(those == sorted(those) for those in taken.values())


@pytest.mark.slow
@each("num_ranks", range(2, 33, 2))
def test_dualpipe_finishes_and_holds_one_chunk_more_than_ranks(num_ranks):
    for name, peak in (("dualpipe", num_ranks + 1), ("dualpipe-v", 2 * num_ranks + 1)):
        made = program(name, Pipeline(num_ranks, 2 * num_ranks))
        assert made.in_flight() == (peak,) * num_ranks


def test_dualpipe_of_deepseek_v3_has_the_counts_of_its_trace():
    made = program("dualpipe", Pipeline(16, 120))
    counts = [Counter(letters(row)) for row in made.ranks]
    assert made.in_flight() == (17,) * 16
    assert counts[0] == {"F": 23, "P": 97, "B": 8, "I": 15, "W": 15}
    assert counts[7] == counts[8] == {"F": 17, "P": 103, "B": 9, "I": 8, "W": 8}
    assert made.stages_of(0) == (0, 15)


def test_dualpipe_v_holds_its_stages_in_a_v():
    made = program("dualpipe-v", Pipeline(4, 8))
    assert [made.stages_of(rank) for rank in range(4)] == [
        (0, 7),
        (1, 6),
        (2, 5),
        (3, 4),
    ]
