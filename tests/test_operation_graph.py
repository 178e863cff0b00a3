"""Operations inside chunks: the graph, SimPy and the chunk level tell the same."""

import random
from collections import Counter
from dataclasses import replace
from importlib.util import find_spec
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estimator.answer.breakdown import executed_flop
from estimator.answer.step_model import StepModel
from estimator.catalog.loading import load_scenario
from estimator.engine.detail import class_seconds, detailed_step
from estimator.engine.evaluate import evaluate, numpy_makespans
from estimator.engine.graph import SEND, compile_program, duration_class
from estimator.engine.operations import Operation, Stream, play
from estimator.engine.step import simulate_step
from estimator.engine.tape import NO_NODE
from estimator.ground.errors import InfeasibleError
from estimator.schedules.notation import Op, Pipeline
from estimator.schedules.programs import program

BATCHES = [numpy_makespans]
if find_spec("numba"):
    from estimator.engine.compiled import numba_makespans

    BATCHES.append(numba_makespans)

VARIANTS = ["@1f1b", "@no-overlap", "@bf16+h100", ""]
LLAMA = (
    "model=llama-3-70b",
    "plan.stage_layout=even",
    "plan.ep=1",
    "plan.pp=4",
    "cluster.num_gpus=64",
)
PLANS = {
    "tensor": (*LLAMA, "plan.tp=8", "plan.schedule=interleaved-1f1b"),
    "pipelined": (*LLAMA, "plan.tp=8", "software.communication.tensor=pipelined"),
    "blocking": (*LLAMA, "plan.tp=8", "software.communication.tensor=none"),
    "fsdp": (*LLAMA, "plan.zero=3", "plan.tp=2", "plan.schedule=1f1b"),
    "zero-2": (*LLAMA, "plan.zero=2", "plan.tp=2", "plan.schedule=dualpipe"),
    "again": ("recompute=full", "plan.expert_imbalance=1.3"),
    "zb-v": (*LLAMA, "plan.tp=8", "plan.schedule=zb-v", "recompute=full"),
}


class RandomOperations:
    """Up to seven operations per class, on both streams, with needs and zeros."""

    def __init__(self, rng):
        self.rng, self.made = rng, {}
        self.send_s = rng.choice([0.0, 0.1, 3.0])

    def __call__(self, kind):
        if kind not in self.made:
            count = self.rng.choice([0, 1, 1, 2, 4, 7])
            self.made[kind] = [self._one(kind, index) for index in range(count)]
        return self.made[kind]

    def _one(self, kind, index):
        rng = self.rng
        needs = rng.sample(range(index), rng.randint(0, min(index, 3)))
        stream = rng.choice(list(Stream))
        seconds = rng.choice([0.0, 1.0, rng.uniform(0, 2)])
        return Operation(f"{kind} {index}", stream, seconds, tuple(needs))

    def seconds(self, kind):
        return self.send_s if kind.op == SEND else play(self(kind)).makespan_s


def by_name(spans):
    """Return the times of the spans of each name, in order."""
    made = {}
    for span in spans:
        key = (span.rank, span.stream, span.instruction, span.name)
        made.setdefault(key, []).append((span.start_s, span.end_s))
    return {key: np.array(sorted(times)) for key, times in made.items()}


def assert_same(some, others):
    """Compare two lists of spans, in whatever order."""
    assert len(some) == len(others)
    some, others = by_name(some), by_name(others)
    assert some.keys() == others.keys()
    if some:
        left = np.concatenate([some[key] for key in some])
        right = np.concatenate([others[key] for key in some])
        np.testing.assert_allclose(left, right, rtol=1e-9, atol=1e-9)


def model(name):
    """Return the step of a variant of DeepSeek-V3, or of a plan of another kind."""
    if name in PLANS:
        return StepModel(load_scenario("deepseek-v3", PLANS[name]), 4096)
    return StepModel(load_scenario(f"deepseek-v3{name}"), 4096)


def detailed(made, count):
    work = made.chunks()
    return detailed_step(
        made.program(count),
        lambda kind: work.seconds(*kind),
        lambda kind: work.operations(*kind),
    )


@pytest.mark.slow
@settings(max_examples=300)
@given(seed=st.integers(0, 2**32))
def test_graph_and_simpy_agree_on_every_span_of_random_operations(random_program, seed):
    rng = random.Random(seed)  # noqa: S311 - no secret
    made, operations = random_program(rng), RandomOperations(rng)
    traced = detailed_step(made, operations.seconds, operations)
    simulated = simulate_step(made, operations.seconds, operations=operations)
    assert_same(traced.streams, simulated.streams)
    assert_same(traced.instructions, simulated.instructions)


@pytest.mark.slow
@settings(max_examples=300)
@given(seed=st.integers(0, 2**32))
def test_chunks_and_operations_agree_on_every_chunk(random_program, seed):
    rng = random.Random(seed)  # noqa: S311 - no secret
    made, operations = random_program(rng), RandomOperations(rng)
    traced = detailed_step(made, operations.seconds, operations)
    coarse = simulate_step(made, operations.seconds)
    assert_same(traced.instructions, coarse.instructions)


@pytest.mark.slow
@settings(max_examples=100)
@given(seed=st.integers(0, 2**32))
def test_batches_play_a_graph_of_operations_too(random_program, seed):
    rng = random.Random(seed)  # noqa: S311 - no secret
    made, operations = random_program(rng), RandomOperations(rng)
    graph = compile_program(made, operations)
    one = np.array(class_seconds(graph, operations.seconds, operations))
    seconds = np.stack([one, 2 * one, np.sqrt(one)], axis=1)
    expected = [evaluate(graph, column).makespan_s for column in seconds.T.tolist()]
    for batch in BATCHES:
        np.testing.assert_allclose(batch(graph.tape, seconds), expected, rtol=1e-9)


@settings(max_examples=50)
@given(seed=st.integers(0, 2**32))
def test_a_node_stands_behind_what_it_waits_for(random_program, seed):
    rng = random.Random(seed)  # noqa: S311 - no secret
    made, operations = random_program(rng), RandomOperations(rng)
    graph = compile_program(made, operations)
    for node, (_, before) in enumerate(graph.steps):
        assert all(other < node for other in before)
        assert len(before) == len(set(before))
    counted = Counter(
        (int(graph.node_rank[node]), graph.instructions[node])
        for node, kind in enumerate(graph.node_class.tolist())
        if graph.class_operation[kind] != NO_NODE
    )
    for rank, row in enumerate(made.ranks):
        for step in row:
            assert counted[rank, step] == len(operations(duration_class(step)))


@pytest.mark.slow
@pytest.mark.parametrize("name", [*VARIANTS, *PLANS])
def test_both_levels_give_the_same_step(name):
    made = model(name)
    for count in (made.scheduled(16), 120):
        coarse = made.simulate(count)
        assert_same(detailed(made, count).instructions, coarse.instructions)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*VARIANTS, *PLANS])
def test_graph_and_simpy_agree_on_real_operations(name):
    made = model(name)
    work, count = made.chunks(), made.scheduled(16)
    simulated = simulate_step(
        made.program(count),
        lambda kind: work.seconds(*kind),
        operations=lambda kind: work.operations(*kind),
    )
    assert_same(detailed(made, count).streams, simulated.streams)


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_every_layer_of_every_micro_batch_runs_each_of_its_operations_once(name):
    made, seen = model(name), Counter()
    for span in detailed(made, 32).streams:
        if span.operation and span.operation.layer.startswith("layer"):
            seen[span.operation.name.partition(" ")[2].partition(" ")] += 1
    layers = [f"{number}" for number in range(61)]
    blocks = [
        f"{block} {op}" for block in ("attention", "mlp") for op in (Op.F, Op.I, Op.W)
    ]
    ways = ["dispatch", "combine", "dispatch backward", "combine backward"]
    wanted = {(layer, " ", block): 32 for layer in layers for block in blocks}
    wanted |= {(layer, " ", way): 32 for layer in layers[3:] for way in ways}
    assert seen == wanted


@pytest.mark.slow
@pytest.mark.parametrize("name", [*VARIANTS, *PLANS])
def test_operations_hold_all_flop_that_are_executed(name):
    made = model(name)
    count = made.scheduled(16)
    streams = detailed(made, count).streams
    flop = sum(span.operation.flop for span in streams if span.operation)
    assert flop == pytest.approx(count * executed_flop(made.chunks()), rel=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*VARIANTS, *PLANS])
def test_an_operation_moves_bytes_and_its_parts_are_its_time(name):
    made = model(name)
    for span in detailed(made, made.scheduled(16)).streams:
        operation = span.operation
        if operation and operation.seconds:
            spent = sum(seconds for _, seconds in operation.parts)
            assert spent == pytest.approx(operation.seconds)
            assert operation.num_bytes > 0
            assert operation.op in {Op.F, Op.I, Op.W}
            assert operation.name.startswith(operation.layer)


def test_dispatches_take_the_time_that_their_bytes_need():
    work = model("").chunks()
    exchange, rate = work.exchanges.experts, work.exchanges.links.dispatch_bytes_per_s
    assert exchange.dispatch_s == pytest.approx(exchange.dispatch_bytes / rate)
    assert exchange.combine_bytes > 1.5 * exchange.dispatch_bytes  # BF16 back, FP8 out


def test_a_stream_runs_one_operation_at_a_time():
    tracks = {}
    for span in detailed(model(""), 32).streams:
        tracks.setdefault((span.rank, span.stream), []).append(span[3:5])
    assert len(tracks) == 16 * 2 + 2 * 15  # two streams a rank, links both ways
    for spans in tracks.values():
        assert all(end <= start for (_, end), (start, _) in pairwise(sorted(spans)))


def test_operations_overlap_across_streams_only_where_the_plan_says_so():
    def overlap_s(name):
        streams = detailed(model(name), 32).streams
        rows = [span for span in streams if span.rank == 3 and span.operation]
        rows.sort(key=lambda span: span.start_s)
        return sum(
            max(0.0, before.end_s - after.start_s) for before, after in pairwise(rows)
        )

    assert overlap_s("@no-overlap") == pytest.approx(0, abs=1e-9)
    assert overlap_s("") > 0.5


def test_a_graph_of_chunks_is_as_it_was():
    made = program("zb-v", Pipeline(2, 4))
    graph = compile_program(made)
    assert set(graph.class_operation) == {NO_NODE}
    sent = [message for message in graph.messages if message is not None]
    assert len(sent) == sum(step is None for step in graph.instructions)


def test_a_step_with_too_many_operations_is_refused(monkeypatch):
    monkeypatch.setattr("estimator.answer.step_model.MOST_TRACED", 1000)
    with pytest.raises(InfeasibleError, match="has 19,712 operations") as error:
        model("").traced(32)
    assert "global_batch_size" in error.value.fix


def test_collectives_that_nothing_hides_add_to_all_other_operations():
    chunks = StepModel(load_scenario("deepseek-v3", PLANS["blocking"]), 4096).chunks()
    for op in "FB":
        made = [step.seconds for step in chunks.operations(op, 1)]
        assert chunks.seconds(op, 1) == pytest.approx(sum(made))
        assert chunks.busy_by_cause(op, 1)["exposed tensor-parallel"] > 0


@pytest.mark.parametrize("overlap", ["none", "async", "pipelined"])
def test_a_parallel_block_needs_half_of_the_collectives(overlap):
    def collectives(is_parallel):
        patches = (*PLANS["tensor"], f"software.communication.tensor={overlap}")
        scenario = load_scenario("deepseek-v3", patches)
        model = replace(scenario.model, is_parallel=is_parallel)
        chunks = StepModel(replace(scenario, model=model), 4096).chunks()
        names = [step.name for op in "FB" for step in chunks.operations(op, 1)]
        return sum("gather" in name or "scatter" in name for name in names)

    assert collectives(is_parallel=False) == 2 * collectives(is_parallel=True) > 0
