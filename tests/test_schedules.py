"""Every schedule passes one exam; then the textbook, rank by rank."""

import re
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loops import each

from estimator.engine.bubble import pipeline_step
from estimator.ground.errors import InfeasibleError, InputError
from estimator.schedules.closed_form import durations
from estimator.schedules.interleaved_1f1b import group_size
from estimator.schedules.notation import Instruction, Op, Pipeline
from estimator.schedules.programs import program, schedule

ONE_STAGE = ["gpipe", "1f1b", "zb-h1", "zb-h2", "dualpipe", "forward-only"]
LOOPED = ["interleaved-1f1b", "interleaved-1f1b-overlap", "breadth-first"]
V_SHAPED = ["zb-v", "v-half", "v-min", "dualpipe-v"]
NAMES = sorted(ONE_STAGE + LOOPED + V_SHAPED)
SHAPES = [(1, 2), (1, 5), (2, 4), (3, 6), (4, 8), (4, 9), (4, 16), (6, 12), (8, 24)]


def accepted(name):
    """Return the shapes that the schedule takes, as pipelines."""
    found = []
    for num_ranks, num_microbatches in SHAPES:
        for stages in (None, 1, 3) if name in LOOPED else (None,):
            try:
                pipeline = Pipeline(num_ranks, num_microbatches, stages)
                found.append(program(name, pipeline).pipeline)
            except InfeasibleError:
                continue
    return found


CASES = [(name, pipeline) for name in NAMES for pipeline in accepted(name)]


def test_the_family_is_complete():
    assert list(schedule) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_schedule_takes_most_shapes(name):
    assert len(accepted(name)) >= 4


@each(("name", "pipeline"), CASES)
def test_each_stage_runs_each_microbatch_forward_once_and_backward_once(name, pipeline):
    made = program(name, pipeline)
    passes = Counter(part for row in made.ranks for step in row for part in step.parts)
    assert set(passes.values()) == {1}
    for stage in range(made.num_stages):
        for microbatch in range(pipeline.num_microbatches):
            ops = "".join(
                op for op in "FIWB" if passes[Instruction(stage, Op(op), microbatch)]
            )
            assert ops in ({"F"} if name == "forward-only" else {"FB", "FIW"})
    assert passes.total() == sum(len(step.parts) for row in made.ranks for step in row)


@pytest.mark.slow
@each(("name", "pipeline"), CASES)
def test_no_schedule_is_faster_than_its_work(name, pipeline):
    spent = durations(1.0, 1.25, 0.5, fb_s=2.5)
    step = pipeline_step(name, pipeline, spent)
    backward_s = 0 if name == "forward-only" else spent.i_s
    way_s = (spent.f_s + backward_s) * pipeline.num_ranks
    assert step.step_s >= way_s
    assert all(bubble_s >= inner_s - 1e-9 for bubble_s, inner_s in both(step))


def both(step):
    return zip(step.bubble_s, step.inner_bubble_s, strict=True)


def grouped(num_ranks, n):
    return group_size(Pipeline(num_ranks, n))


# Memory, in activations of a chunk: (until the backward pass, until the weight pass).
PEAK = {
    "gpipe": lambda p, n, v: n,
    "1f1b": lambda p, n, v: min(p, n),
    "forward-only": lambda p, n, v: 1,
    "breadth-first": lambda p, n, v: n * v,
    # Narayanan et al. SC21: v P (1 + (P - 1) / (P v)) chunks, in groups of P
    "interleaved-1f1b": lambda p, n, v: min(grouped(p, n) * (v - 1) + 2 * p - 1, n * v),
    # one more in the warm-up, and a pair's forward half before its backward is freed
    "interleaved-1f1b-overlap": lambda p, n, v: min(
        grouped(p, n) * (v - 1) + 2 * p, n * v
    ),
    "dualpipe": lambda p, n, v: p + 1,  # DeepSeek-V3 report, table 2
    "dualpipe-v": lambda p, n, v: 2 * p + 1,
}
PEAK_UNTIL_WEIGHTS = {
    "zb-h1": lambda p, n: min(p, n),  # Qi et al. ICLR 2024: that of 1F1B
    "zb-h2": lambda p, n: min(2 * p - 1, n),  # ... and twice that
    # Qi et al. NeurIPS 2024, in chunks of half a stage: P, (P + 2) // 2, (P + 4) // 3
    "zb-v": lambda p, n: 2 * p,
    "v-half": lambda p, n: 2 * ((p + 2) // 2),
    "v-min": lambda p, n: 2 * ((p + 4) // 3),
}


@each(("name", "pipeline"), CASES)
def test_memory_is_as_published(name, pipeline):
    made = program(name, pipeline)
    num_ranks, n, v = (
        pipeline.num_ranks,
        pipeline.num_microbatches,
        pipeline.stages_per_rank,
    )
    if name in PEAK:
        assert max(made.in_flight()) == PEAK[name](num_ranks, n, v)
    else:
        assert max(made.in_flight(Op.W)) == PEAK_UNTIL_WEIGHTS[name](num_ranks, n)


def test_1f1b_holds_fewer_activations_towards_the_end_of_the_pipeline():
    assert program("1f1b", Pipeline(4, 8)).in_flight() == (4, 3, 2, 1)


@pytest.mark.parametrize("name", ["dualpipe", "dualpipe-v", "zb-v", "zb-h2"])
def test_memory_is_the_same_on_every_rank(name):
    until = Op.W if name.startswith("zb") else Op.I
    assert len(set(program(name, Pipeline(8, 16)).in_flight(until))) == 1


def test_an_overlapped_pair_never_needs_itself():
    made = program("interleaved-1f1b-overlap", Pipeline(4, 8))
    pairs = [step for row in made.ranks for step in row if step.op is Op.FB]
    assert pairs
    for pair in pairs:
        forward, backward = pair.parts
        assert (
            forward.microbatch != backward.microbatch
            or forward.stage > backward.stage + 1
        )


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25)
@given(num_ranks=st.integers(1, 9), n=st.integers(1, 20))
def test_a_shape_is_taken_or_refused_with_one_that_is(name, num_ranks, n):
    pipeline = Pipeline(num_ranks, n)
    for _ in range(3):
        try:
            assert program(name, pipeline).pipeline.num_ranks == pipeline.num_ranks
        except InfeasibleError as error:
            field, value = re.fullmatch(r"(\w+): (\d+)", error.fix).groups()
            pipeline = replace(pipeline, **{field: int(value)})
        else:
            return
    raise AssertionError(pipeline)


# Megatron-LM, ``model_parallel_config.py``: PP 2, groups of 3, 5 micro-batches
TABLE = [0, 1, 2, 0, 1, 2, 3, 4, 3, 4]


def test_interleaved_micro_batches_come_in_megatron_lm_s_order():
    made = program("interleaved-1f1b", Pipeline(2, 5, 2))
    for row in made.ranks:
        ahead = [step for step in row if step.op is Op.F]
        assert [step.microbatch for step in ahead] == TABLE
        assert [step.stage // 2 for step in ahead] == [0, 0, 0, 1, 1, 1, 0, 0, 1, 1]


@each("num_ranks", [1, 2, 4, 8])
@each("n", range(1, 41))
def test_groups_are_torch_s_where_it_has_some_and_ones_that_megatron_lm_takes(
    num_ranks, n
):
    size, rounds = grouped(num_ranks, n), max(1, n // num_ranks)
    if n % rounds == 0:
        assert size == n // rounds
    if n >= num_ranks:
        assert num_ranks <= size <= n
        assert n % size == 0 or n % size >= num_ranks
    if n % num_ranks == 0:
        assert size == num_ranks


@pytest.mark.parametrize("n", [4, 5, 6, 7, 9, 13])
@pytest.mark.parametrize("name", ["interleaved-1f1b", "interleaved-1f1b-overlap"])
def test_any_batch_that_keeps_all_ranks_busy_is_interleaved(name, n):
    step = pipeline_step(name, Pipeline(4, n, 3))
    assert step.closed_form.holds
    assert step.bubble_s == pytest.approx((3 * (1 + 2) / 3,) * 4)


def test_fewer_micro_batches_than_ranks_wait_for_each_stage():
    step = pipeline_step("interleaved-1f1b", Pipeline(4, 3, 2))
    assert step.closed_form.holds
    assert step.bubble_s[0] == pytest.approx((3 + 1) * (1 + 2) / 2)
    with pytest.raises(InfeasibleError, match="4 ranks") as error:
        program("interleaved-1f1b-overlap", Pipeline(4, 3, 2))
    assert error.value.fix == "num_microbatches: 4"


@pytest.mark.parametrize("name", ONE_STAGE + V_SHAPED)
def test_a_fixed_placement_refuses_another_number_of_stages(name):
    placed = program(name, Pipeline(4, 8)).pipeline.stages_per_rank
    assert placed == (2 if name in V_SHAPED else 1)
    with pytest.raises(InputError, match=f"not {placed + 1}") as error:
        program(name, Pipeline(4, 8, placed + 1))
    assert error.value.fix == f"stages_per_rank: {placed}"
    assert program(name, Pipeline(4, 8, placed)) == program(name, Pipeline(4, 8))


@pytest.mark.parametrize("name", LOOPED)
@pytest.mark.parametrize("stages", [1, 2, 5])
def test_a_looped_pipeline_takes_any_number_of_stages(name, stages):
    made = program(name, Pipeline(4, 8, stages))
    assert made.num_stages == 4 * stages
    assert made.stages_of(1) == tuple(range(1, 4 * stages, 4))


def test_an_unknown_schedule_is_met_with_the_nearest():
    with pytest.raises(InputError, match="zb-h3") as error:
        program("zb-h3", Pipeline(4, 8))
    assert error.value.fix in {"'zb-h1'", "'zb-h2'"}


@pytest.mark.parametrize("sizes", [(0, 1), (1, 0), (2, -1), (1, 1, 0)])
def test_a_pipeline_has_at_least_one_of_everything(sizes):
    with pytest.raises(InputError, match="at least 1"):
        Pipeline(*sizes)


@each("name", ["interleaved-1f1b", "interleaved-1f1b-overlap", "breadth-first"])
def test_ranks_hold_two_stages_where_nobody_says_how_many(name):
    made = program(name, Pipeline(num_ranks=4, num_microbatches=8))
    first = {part.stage for step in made.ranks[0] for part in step.parts}
    assert first == {0, 4}
