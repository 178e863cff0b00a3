"""All clocks agree: the reference, both batches, and SimPy without randomness."""

import random
import tracemalloc
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estimator.engine import evaluate as clocks
from estimator.engine.bubble import pipeline_step
from estimator.engine.evaluate import evaluate, makespans, numpy_makespans
from estimator.engine.graph import SEND, compile_program
from estimator.engine.step import simulate_step
from estimator.ground.errors import InfeasibleError, InputError
from estimator.schedules.closed_form import durations
from estimator.schedules.notation import Op, Pipeline
from estimator.schedules.programs import program, schedule

BATCHES = [numpy_makespans]
if find_spec("numba"):
    from estimator.engine.compiled import numba_makespans

    BATCHES.append(numba_makespans)


def random_seconds(rng, graph, num_scenarios=3):
    """Draw a duration per class and scenario; some are zero, sends shorter or longer."""
    shape = (len(graph.classes), num_scenarios)
    made = rng.uniform(0, 2, shape) * (rng.random(shape) < 0.9)
    sends = [index for index, kind in enumerate(graph.classes) if kind.op == SEND]
    made[sends] *= rng.choice([0, 0.1, 3])
    return made


def assert_all_clocks_agree(made, rng):
    """Compare the four clocks on random durations."""
    graph = compile_program(made)
    seconds = random_seconds(rng, graph)
    references = [evaluate(graph, column) for column in seconds.T.tolist()]
    expected = [clock.makespan_s for clock in references]
    for batch in (makespans, *(lambda g, s, b=b: b(g.tape, s) for b in BATCHES)):
        np.testing.assert_allclose(batch(graph, seconds), expected, rtol=1e-9)
    lasting = dict(zip(graph.classes, seconds[:, 0].tolist(), strict=True))
    trace = simulate_step(made, lasting.__getitem__)
    assert trace.makespan_s == pytest.approx(makespan(references[0], graph), rel=1e-9)
    simulated = {
        (span.rank, span.instruction): span.end_s for span in trace.instructions
    }
    for node, instruction in enumerate(graph.instructions):
        if instruction is not None:
            end_s = simulated[int(graph.node_rank[node]), instruction]
            assert end_s == pytest.approx(references[0].end_s[node], rel=1e-9)


def makespan(clock, graph):
    """Return the end of the last instruction."""
    return max(
        end_s
        for end_s, instruction in zip(clock.end_s, graph.instructions, strict=True)
        if instruction is not None
    )


@pytest.mark.slow
@settings(max_examples=500)
@given(seed=st.integers(0, 2**32))
def test_all_clocks_agree_on_random_programs(random_program, seed):
    made = random_program(random.Random(seed))  # noqa: S311 - no secret
    assert_all_clocks_agree(made, np.random.default_rng(seed))


@pytest.mark.slow
@pytest.mark.parametrize("name", list(schedule))
@settings(max_examples=15)
@given(ranks=st.integers(1, 6), extra=st.integers(0, 8), seed=st.integers(0, 2**32))
def test_all_clocks_agree_on_every_schedule(name, ranks, extra, seed):
    for pipeline in (
        Pipeline(ranks, 2 * ranks + extra),
        Pipeline(2 * ranks, 4 * ranks),
    ):
        try:
            made = program(name, pipeline)
        except InfeasibleError:
            continue
        assert_all_clocks_agree(made, np.random.default_rng(seed))
        return
    raise AssertionError(pipeline)


def test_random_programs_are_of_every_kind(random_program):
    many = [random_program(random.Random(seed)) for seed in range(200)]  # noqa: S311
    ops = {step.op for made in many for row in made.ranks for step in row}
    assert ops == set(Op)
    assert len({made.ranks for made in many}) > 190
    assert {made.pipeline.num_ranks for made in many} == {1, 2, 3, 4}
    held = [len(made.stages_of(0)) / made.pipeline.stages_per_rank for made in many]
    assert min(held) == 1
    assert max(held) > 1  # micro-batches that pass the ranks in another order


def test_a_message_waits_for_the_one_before_it_on_its_link():
    made = program("gpipe", Pipeline(2, 3))
    graph = compile_program(made)
    lasting = {"F": 1.0, "B": 0.0, SEND: 5.0}
    clock = evaluate(graph, [lasting[kind.op] for kind in graph.classes])
    sends = [
        clock.end_s[node]
        for node, kind in enumerate(graph.node_class.tolist())
        if graph.classes[kind].op == SEND and graph.classes[kind].stage == 0
    ]
    assert sends == [6, 11, 16]


@pytest.mark.parametrize("num_scenarios", [0, 1, 127, 128, 2049, 4100])
@pytest.mark.parametrize("batch", BATCHES)
def test_a_batch_is_its_scenarios_one_by_one(batch, num_scenarios):
    graph = compile_program(program("zb-v", Pipeline(2, 4)))
    rng = np.random.default_rng(num_scenarios)
    seconds = rng.uniform(0.1, 2, (len(graph.classes), num_scenarios))
    some = list(range(0, num_scenarios, 97)) + list(range(num_scenarios))[-2:]
    expected = [evaluate(graph, seconds[:, one].tolist()).makespan_s for one in some]
    np.testing.assert_allclose(batch(graph.tape, seconds)[some], expected, rtol=1e-9)


def test_a_batch_leaves_its_durations_alone():
    graph = compile_program(program("1f1b", Pipeline(3, 5)))
    seconds = np.random.default_rng(1).uniform(0.1, 2, (len(graph.classes), 300))
    kept = seconds.copy()
    for batch in BATCHES:
        batch(graph.tape, seconds)
    np.testing.assert_array_equal(seconds, kept)


def test_a_batch_refuses_durations_of_another_shape():
    graph = compile_program(program("1f1b", Pipeline(2, 2)))
    with pytest.raises(ValueError, match=r"not \(2, 7\)"):
        makespans(graph, np.ones((2, 7)))


def test_large_batches_are_compiled_where_numba_is_installed(monkeypatch):
    pytest.importorskip("numba", reason="needs the extra fast")
    played = []

    def spy(tape, seconds):
        played.append(seconds.shape)
        return numpy_makespans(tape, seconds)

    monkeypatch.setattr("estimator.engine.compiled.numba_makespans", spy)
    graph = compile_program(program("1f1b", Pipeline(2, 2)))
    seconds = np.ones((len(graph.classes), 10))
    makespans(graph, seconds)
    assert played == []
    monkeypatch.setattr(clocks, "WORTH_COMPILING", len(graph.steps) * 10)
    makespans(graph, seconds)
    assert played == [seconds.shape]


@pytest.mark.slow
def test_ten_thousand_scenarios_take_little_memory():
    graph = compile_program(program("dualpipe", Pipeline(16, 120)))
    seconds = np.random.default_rng(2).uniform(0.5, 1.5, (len(graph.classes), 10_000))
    for batch in BATCHES:
        batch(graph.tape, seconds[:, :1])
        tracemalloc.start()
        batch(graph.tape, seconds)
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak_bytes < 50e6  # end times of all nodes would take 480 MB


def test_rows_are_reused_once_their_end_times_are_known():
    graph = compile_program(program("gpipe", Pipeline(8, 200)))
    assert graph.tape.num_rows < 40 < len(graph.steps) / 100


def test_a_schedule_step_has_the_keys_that_programs_rely_on():
    rows = (
        "0F0,0F1,0I0,0W0,0F2,0I1,0W1,0F3,0I2,0W2,0I3,0W3",
        "1F0,1I0,1F1,1I1,1W0,1F2,1I2,1W1,1F3,1I3,1W2,1W3",
    )
    made = pipeline_step("zb-h1", Pipeline(2, 4), durations(1, 1, 0.5)).to_dict()
    assert made == {
        "schedule": "zb-h1",
        "num_ranks": 2,
        "num_microbatches": 4,
        "step_s": 11.5,
        "bubble_s": [1.5, 1.5],
        "inner_bubble_s": [1.5, 0.0],
        "bubble_fraction": pytest.approx(1.5 / 11.5),
        "in_flight": [2, 1],
        "closed_form": {
            "bubble_s": 1.5,
            "holds": True,
            "condition": "W <= F, W <= I, n >= P",
        },
        "program": [row.split(",") for row in rows],
    }


@pytest.mark.parametrize("name", list(schedule))
@settings(max_examples=20)
@given(seconds=st.tuples(*[st.floats(0.01, 5)] * 5), send_s=st.floats(0, 1))
def test_busy_and_idle_time_make_up_the_step(name, seconds, send_s):
    made = pipeline_step(name, Pipeline(4, 8), durations(*seconds), send_s=send_s)
    pipeline = made.graph.program.pipeline
    spent = dict(zip([Op.F, Op.I, Op.W, Op.B, Op.FB], seconds, strict=True))
    for row, bubble_s in zip(made.graph.program.ranks, made.bubble_s, strict=True):
        busy_s = sum(spent[step.op] for step in row) / pipeline.stages_per_rank
        assert busy_s + bubble_s == pytest.approx(made.step_s)
    assert 0 <= made.bubble_fraction < 1


@pytest.mark.parametrize("send_s", [-0.1, float("nan"), float("inf")])
def test_a_send_takes_a_finite_time(send_s):
    with pytest.raises(InputError, match="send_s"):
        pipeline_step("1f1b", Pipeline(2, 2), send_s=send_s)
