"""From one step to the whole run: micro-batches, ramp, breakdown, range."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from estimator.costs.flop import flop_per_token, mfu
from estimator.costs.rates import Layer, half_precision
from estimator.engine.evaluate import evaluate, makespans
from estimator.engine.graph import (
    DurationClass,
    Graph,
    compile_program,
    duration_class,
)
from estimator.engine.step import StepTrace, simulate_step
from estimator.errors import InfeasibleError
from estimator.report import Memory, RankRow, Step
from estimator.schedules.ir import Op, Pipeline, Program, program, schedule
from estimator.specs.base import constants, with_value
from estimator.specs.scenario import Scenario
from estimator.specs.training import GlobalBatch
from estimator.workload.chunks import Chunks, chunks, elements, layer_segments
from estimator.workload.memory import RankMemory, memory
from estimator.workload.synchronisation import held, optimizer_phase_s, replicas
from estimator.workload.work import sizes

RAMP_POINTS = 96
"""Intervals of a batch ramp's integral."""
SYNCHRONISATION = ("reduce-scatter", "all-gather", "all-reduce")


@dataclass
class StepModel:
    """The step of one phase: programs, graphs and chunk durations, made once."""

    scenario: Scenario
    seq_len: int
    _programs: dict[int, Program] = field(default_factory=dict)
    _graphs: dict[int, Graph] = field(default_factory=dict)
    _chunks: dict[Layer, Chunks] = field(default_factory=dict)

    def num_microbatches(self, global_batch: float) -> int:
        """Return the micro-batches per replica of a batch; the last may not be full."""
        plan = self.scenario.plan
        return max(
            1, math.ceil(global_batch / (plan.micro_batch_size * self.scenario.dp))
        )

    def scheduled(self, num_microbatches: int) -> int:
        """Return the fewest micro-batches, not below these, that the schedule runs."""
        plan = self.scenario.plan
        generate = schedule[plan.schedule]
        most = num_microbatches + 2 * plan.pp + 2
        problem: InfeasibleError | None = None
        for count in range(num_microbatches, most):
            try:
                next(iter(generate(0, self._pipeline(count))))
            except InfeasibleError as error:
                problem = problem or error
            else:
                return count
        assert problem is not None  # noqa: S101 - the loop ran at least once
        raise problem

    def _pipeline(self, num_microbatches: int) -> Pipeline:
        plan = self.scenario.plan
        return Pipeline(plan.pp, num_microbatches, plan.stages_per_rank)

    def program(self, num_microbatches: int) -> Program:
        """Return the checked program of so many micro-batches."""
        count = self.scheduled(num_microbatches)
        if count not in self._programs:
            self._programs[count] = program(
                self.scenario.plan.schedule, self._pipeline(count)
            )
        return self._programs[count]

    def graph(self, num_microbatches: int) -> Graph:
        """Return the dependency graph of so many micro-batches."""
        made = self.program(num_microbatches)
        count = made.pipeline.num_microbatches
        if count not in self._graphs:
            self._graphs[count] = compile_program(made)
        return self._graphs[count]

    def chunks(self, num_microbatches: int, layer: Layer = Layer.IN_SITU) -> Chunks:
        """Return the chunk durations at one layer of constants."""
        if layer not in self._chunks:
            num_stages = self.program(num_microbatches).num_stages
            self._chunks[layer] = chunks(self.scenario, self.seq_len, num_stages, layer)
        return self._chunks[layer]

    def optimizer_parts(
        self, num_microbatches: int, layer: Layer = Layer.IN_SITU
    ) -> dict[str, float]:
        """Return the optimizer phase of the slowest rank: all wait for the global
        gradient norm, so it lasts as long on each."""
        made = self.program(num_microbatches)
        work = self.chunks(num_microbatches, layer)
        return _slowest_optimizer(self.scenario, made, work)

    def step_s(self, num_microbatches: int, layer: Layer = Layer.IN_SITU) -> float:
        """Return the seconds of a step, by the graph's longest path."""
        graph = self.graph(num_microbatches)
        work = self.chunks(num_microbatches, layer)
        duration_s = [work.seconds(*kind) for kind in graph.classes]
        pipeline_s = evaluate(graph, duration_s).makespan_s
        optimizer = self.optimizer_parts(num_microbatches, layer)
        return pipeline_s + sum(optimizer.values())

    def simulate(self, num_microbatches: int) -> StepTrace:
        """Return the step's pipeline part as SimPy plays it."""
        work = self.chunks(num_microbatches)
        return simulate_step(
            self.program(num_microbatches), lambda kind: work.seconds(*kind)
        )


def _slowest_optimizer(
    scenario: Scenario, made: Program, work: Chunks
) -> dict[str, float]:
    of_rank = [made.stages_of(rank) for rank in range(len(made.ranks))]
    groups = replicas(scenario, sum(0 in stages for stages in of_rank))
    phases = [
        optimizer_phase_s(
            scenario,
            held(scenario, [work.stages[stage] for stage in stages]),
            groups,
            work.device,
            work.links,
        )
        for stages in dict.fromkeys(of_rank)
    ]
    return max(phases, key=lambda parts: sum(parts.values()))


def rank_rows(trace: StepTrace, num_ranks: int, optimizer_s: float) -> list[RankRow]:
    """Return each rank's seconds by kind of chunk; the rest of the step is bubble."""
    busy = [Counter[Op]() for _ in range(num_ranks)]
    for span in trace.instructions:
        busy[span.rank][span.instruction.op] += span.end_s - span.start_s
    return [
        RankRow(
            rank=rank,
            forward_s=spent[Op.F],
            backward_s=spent[Op.B],
            backward_input_s=spent[Op.I],
            weight_s=spent[Op.W],
            overlapped_s=spent[Op.FB],
            bubble_s=trace.makespan_s - sum(spent.values()),
            optimizer_s=optimizer_s,
        )
        for rank, spent in enumerate(busy)
    ]


def causes(made: Program, work: Chunks, step: Mapping[str, float]) -> dict[str, float]:
    """Return the seconds of a step by cause, mean over ranks.

    ``step`` brings ``bubble`` and the optimizer's parts; the rest follows from the
    chunks that each rank runs.
    """
    counts: Counter[DurationClass] = Counter(
        duration_class(instruction)
        for instructions in made.ranks
        for instruction in instructions
    )
    spent: Counter[str] = Counter()
    for kind, count in counts.items():
        for cause, seconds in work.busy_by_kind(*kind).items():
            spent[cause] += seconds * count / len(made.ranks)
    spent.update(step)
    return {cause: seconds for cause, seconds in spent.items() if seconds > 0}


def executed_flop(work: Chunks) -> float:
    """Return the FLOP that all stages execute for one micro-batch and TP rank."""
    of_kind = {
        kind: sum(
            kernel.flop
            for segment in layer_segments(work.size, kind)
            for kernel in segment
        )
        for kind in {item.kind for stage in work.stages for item in stage}
        if kind in ("dense", "moe", "mtp")
    }
    head = 3 * 2.0 * work.size.tokens * work.size.model.hidden_size
    of_kind["head"] = head * (work.size.model.vocab_size / work.size.tp)
    return sum(of_kind.get(item.kind, 0.0) for stage in work.stages for item in stage)


def step_report(model: StepModel, global_batch: int) -> Step:
    """Return one simulated step at this batch."""
    scenario = model.scenario
    num_microbatches = model.num_microbatches(global_batch)
    made, work = model.program(num_microbatches), model.chunks(num_microbatches)
    optimizer = model.optimizer_parts(num_microbatches)
    optimizer_s = sum(optimizer.values())
    trace = model.simulate(num_microbatches)
    rows = rank_rows(trace, len(made.ranks), optimizer_s)
    step_s = trace.makespan_s + optimizer_s
    bubble_s = sum(row.bubble_s for row in rows) / len(rows)
    sync_s = sum(
        seconds for part, seconds in optimizer.items() if part.startswith(SYNCHRONISATION)
    )
    parts = causes(
        made,
        work,
        {
            "bubble": bubble_s,
            "gradient synchronisation": sync_s,
            "optimizer": optimizer_s - sync_s,
        },
    )
    num_gpus = scenario.cluster.num_gpus
    tokens_per_s = global_batch * model.seq_len / step_s
    gpu = scenario.cluster.node.gpu
    peak = gpu.peak_flop_per_s[half_precision(gpu)]
    causal = flop_per_token(scenario.model, model.seq_len)
    full = flop_per_token(scenario.model, model.seq_len, is_causal=False)
    executed = executed_flop(work) * num_microbatches * scenario.dp * scenario.plan.tp
    return Step(
        step_s=step_s,
        tokens_per_s=tokens_per_s,
        tokens_per_s_per_gpu=tokens_per_s / num_gpus,
        tflop_per_s_per_gpu=causal * tokens_per_s / num_gpus / 1e12,
        mfu=mfu(causal, tokens_per_s, num_gpus, peak),
        mfu_noncausal=mfu(full, tokens_per_s, num_gpus, peak),
        hfu=executed / step_s / (num_gpus * peak),
        bubble_fraction=bubble_s / step_s,
        exposed_comm_s=sync_s
        + parts.get("exposed all-to-all", 0.0)
        + parts.get("tensor-parallel", 0.0),
        num_microbatches=num_microbatches,
        ranks=tuple(rows),
        parts=parts,
        optimizer_parts=optimizer,
    )


def phase_time(
    model: StepModel, batch: GlobalBatch, num_tokens: float, full_step_s: float
) -> tuple[float, float]:
    """Return seconds and steps of a phase whose batch may grow linearly in tokens.

    Step time is interpolated between the ramp's start, its middle and its end; in
    between it is linear in the number of micro-batches.
    """
    ramp_tokens = min(batch.ramp_tokens, num_tokens)
    rest = num_tokens - ramp_tokens
    steps = rest / (batch.final * model.seq_len)
    wall_s = steps * full_step_s
    if not ramp_tokens:
        return wall_s, steps
    ends = [model.num_microbatches(size) for size in (batch.initial, batch.final)]
    low, high = (model.scheduled(count) for count in ends)
    middle = model.scheduled((low + high) // 2)
    points = sorted({low, middle, high})
    times = [full_step_s if n == high else model.step_s(n) for n in points]
    share = (np.arange(RAMP_POINTS) + 0.5) / RAMP_POINTS
    share *= ramp_tokens / batch.ramp_tokens
    size = batch.initial + (batch.final - batch.initial) * share
    count = size / (model.scenario.plan.micro_batch_size * model.scenario.dp)
    ramp_steps = ramp_tokens / RAMP_POINTS / (size * model.seq_len)
    wall_s += float(np.sum(ramp_steps * np.interp(count, points, times)))
    return wall_s, steps + float(np.sum(ramp_steps))


LEANER = (
    {"recompute": ("layernorm", "moe_act")},
    {"recompute": ("layernorm", "mla_up_proj", "moe_act")},
    {"recompute": ("layernorm", "mla_up_proj", "mlp")},
    {"recompute": ("full",)},
)
"""Changes that save memory, from the cheapest to the dearest in time."""


def memory_report(model: StepModel, global_batch: int) -> Memory:
    """Return the peak memory of the fullest rank, and what would fit."""
    ranks, made = _memory(model, global_batch)
    fullest = max(range(len(ranks)), key=lambda rank: ranks[rank].total)
    worst, hbm = ranks[fullest], model.scenario.cluster.node.gpu.hbm_bytes
    fits = worst.total <= hbm
    return Memory(
        peak_bytes=worst.total,
        hbm_bytes=hbm,
        fits=fits,
        rank=fullest,
        in_flight=made.in_flight(),
        parts=vars(worst).copy(),
        ranks=tuple(vars(rank).copy() for rank in ranks),
        advice="" if fits else _what_would_fit(model, global_batch),
    )


def _memory(
    model: StepModel, global_batch: int
) -> tuple[tuple[RankMemory, ...], Program]:
    count = model.num_microbatches(global_batch)
    made = model.program(count)
    size = sizes(model.scenario, model.seq_len)
    stages = elements(model.scenario, made.num_stages)
    return memory(model.scenario, size, made, stages), made


def _what_would_fit(model: StepModel, global_batch: int) -> str:
    scenario, hbm = model.scenario, model.scenario.cluster.node.gpu.hbm_bytes
    for change in LEANER:
        leaner = StepModel(replace(scenario, **change), model.seq_len)
        peak = max(rank.total for rank in _memory(leaner, global_batch)[0])
        if peak <= hbm:
            modules = ", ".join(change["recompute"])
            return f"recompute=[{modules}] needs {peak / 1e9:.1f} GB and fits"
    return (
        "not even full recomputation fits; spread the weights further (pp, tp, ep) or "
        "take a GPU with more memory"
    )


def relative_range(model: StepModel, num_microbatches: int) -> dict[str, tuple[float, float]]:
    """Return for each constant the step at its low and high end over the step itself."""
    graph = model.graph(num_microbatches)
    made = model.program(num_microbatches)
    cases: list[tuple[str, Scenario]] = [("", model.scenario)]
    for path, constant in constants(model.scenario.cluster, "cluster"):
        cases += [
            (path, with_value(model.scenario, path, value))
            for value in (constant.low, constant.high)
        ]
    columns, optimizer_s = [], []
    for _, case in cases:
        work = chunks(case, model.seq_len, made.num_stages)
        columns.append([work.seconds(*kind) for kind in graph.classes])
        optimizer_s.append(sum(_slowest_optimizer(case, made, work).values()))
    duration_s = np.array(columns).T
    step_s = makespans(graph, duration_s) + np.array(optimizer_s)
    ratio = step_s / step_s[0]
    return {
        cases[index][0]: (float(ratio[index]), float(ratio[index + 1]))
        for index in range(1, len(cases), 2)
    }


def combined_range(effects: Mapping[str, tuple[float, float]]) -> tuple[float, float]:
    """Return the factors of the whole range: independent effects add in squares.

    >>> low, high = combined_range({"a": (0.9, 1.2), "b": (1.0, 1.0)})
    >>> round(low, 6), round(high, 6)
    (0.9, 1.2)
    """
    down = up = 0.0
    for pair in effects.values():
        logs = [math.log(ratio) for ratio in pair]
        down += min(0.0, *logs) ** 2
        up += max(0.0, *logs) ** 2
    return math.exp(-math.sqrt(down)), math.exp(math.sqrt(up))

