"""The step of one phase: micro-batches, programs, graphs and durations."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import NamedTuple

from estimator.costs.flop import flop_per_token
from estimator.costs.rates import Layer
from estimator.engine.detail import detailed_step
from estimator.engine.evaluate import makespan_s
from estimator.engine.graph import Graph, compile_program, duration_class
from estimator.engine.step import StepTrace, simulate_step
from estimator.ground.errors import InfeasibleError
from estimator.ground.lanes import largest
from estimator.schedules.interleaved_1f1b import GROUPED, group_size
from estimator.schedules.notation import Instruction, Op, Pipeline, Program
from estimator.schedules.programs import check_size, program, schedule
from estimator.specs.scenario import Scenario
from estimator.workload.buckets import buckets
from estimator.workload.chunks import Chunks, chunks
from estimator.workload.optimizer_parts import OptimizerPart
from estimator.workload.stages import ElementKind, held, total_held
from estimator.workload.stored import gradient_bytes
from estimator.workload.synchronisation import Parcels, Window, optimizer_phase_s
from estimator.workload.vocabulary import rows_of_rank

ENDS: frozenset[ElementKind] = frozenset({"embedding", "head"})
"""What tied weights belong to."""
BACKWARD = (Op.B, Op.I)
"""Passes that a stage waits for from the one behind it."""
MOST_SIMULATED = 128
"""Micro-batches up to which a step is simulated whole, on 32 ranks and fewer."""
MOST_ROUNDS = 4
"""Micro-batches for each rank up to which it is, on more."""
MOST_TRACED = 500_000
"""Operations up to which a step is traced: about 170 MB of JSON."""


@dataclass(frozen=True)
class TracedStep:
    """One step operation by operation, and the optimizer phase behind it."""

    program: Program
    pipeline: StepTrace
    optimizer_parts: Mapping[OptimizerPart, float]
    send_bytes: float
    """Bytes of a message between two stages."""

    @property
    def step_s(self) -> float:
        """Seconds of the step."""
        return self.pipeline.makespan_s + sum(self.optimizer_parts.values())


class Simulated(NamedTuple):
    """A number of micro-batches that is simulated, and how much it counts."""

    num_microbatches: int
    weight: float


@lru_cache(maxsize=16)
def _graph(name: str, pipeline: Pipeline) -> Graph:
    """Return the graph that all scenarios of one schedule and shape share."""
    return compile_program(program(name, pipeline))


@dataclass
class StepModel:
    """Programs, graphs and chunk durations of a phase, made once when asked for."""

    scenario: Scenario
    seq_len: int
    _chunks: dict[tuple[Layer, bool], Chunks] = field(default_factory=dict)

    def num_microbatches(self, global_batch: float) -> int:
        """Return the micro-batches per replica of a batch; the last may not be full."""
        plan = self.scenario.plan
        return max(
            1, math.ceil(global_batch / (plan.micro_batch_size * self.scenario.dp))
        )

    def scheduled(self, num_microbatches: int) -> int:
        """Return the fewest micro-batches, not below these, that the schedule runs.

        Raises
        ------
        InfeasibleError
            If the schedule refuses every number within reach.
        """
        return fewest_scheduled(
            self.scenario.plan.schedule, self._pipeline(num_microbatches)
        )

    def simulated(self, num_microbatches: int) -> tuple[Simulated, ...]:
        """Return the numbers of micro-batches to simulate, and their weights.

        A long step is a short one with more of the steady state, which repeats: beyond
        :data:`MOST_SIMULATED` it follows linearly from two shorter ones, within
        3e-4 of the step played whole (rounding in most cases).
        """
        count, pp = self.scheduled(num_microbatches), self.scenario.plan.pp
        group = self.group(count)
        period, most = group or 2 * pp, max(MOST_SIMULATED, MOST_ROUNDS * (group or pp))
        if count <= most:
            return (Simulated(count, 1.0),)
        last = count - -(-(count - most) // period) * period
        share = (count - last) / period
        return (Simulated(last - period, -share), Simulated(last, 1.0 + share))

    def group(self, num_microbatches: int) -> int | None:
        """Return the size of groups where a shorter step might have others."""
        plan = self.scenario.plan
        if plan.schedule not in GROUPED or num_microbatches % plan.pp == 0:
            return None
        return group_size(Pipeline(plan.pp, num_microbatches))

    def _pipeline(self, num_microbatches: int, whole: int | None = None) -> Pipeline:
        plan = self.scenario.plan
        whole = self.scheduled(whole) if whole else num_microbatches
        group = self.group(whole) if whole != num_microbatches else None
        return Pipeline(plan.pp, num_microbatches, plan.stages_per_rank, group)

    def program(self, num_microbatches: int, whole: int | None = None) -> Program:
        """Return the checked program of so many micro-batches.

        ``whole`` is the length of the step that it is a part of, if it is of one.
        """
        return program(
            self.scenario.plan.schedule, self._pipeline(num_microbatches, whole)
        )

    def graph(self, num_microbatches: int, whole: int | None = None) -> Graph:
        """Return the dependency graph of such a program."""
        return _graph(
            self.scenario.plan.schedule, self._pipeline(num_microbatches, whole)
        )

    @property
    def full(self) -> int:
        """Micro-batches of the full batch of the phase with this sequence length."""
        found = [p for p in self.scenario.phases if p.global_batch_size is not None]
        same = [phase for phase in found if phase.seq_len == self.seq_len]
        batch = (same or found)[0].global_batch_size
        return self.num_microbatches(batch.final if batch else 1)

    def played(self, num_microbatches: int | None = None) -> Program:
        """Return the program that a step of so many micro-batches plays.

        The chunks of a step follow from it: whether any are pairs, and who holds which
        stage. Of a long step it is a shorter one; None is a step of the full batch.
        """
        count = self.full if num_microbatches is None else num_microbatches
        first, *_ = self.simulated(count)
        return self.program(first.num_microbatches, count)

    def chunks(
        self, layer: Layer = Layer.IN_SITU, num_microbatches: int | None = None
    ) -> Chunks:
        """Return the chunk durations of a step at one layer of constants."""
        made = self.played(num_microbatches)
        key = (layer, made.has_pairs)
        if key not in self._chunks:
            self._chunks[key] = chunks(self.scenario, self.seq_len, made, layer)
        return self._chunks[key]

    def flop_per_token(self, *, is_causal: bool = True) -> float:
        """Return the model FLOP of one token in the passes that the program runs."""
        return flop_per_token(
            self.scenario.model,
            self.seq_len,
            is_causal=is_causal,
            num_passes=len(self.played().passes),
        )

    def optimizer_parts(
        self, layer: Layer = Layer.IN_SITU, num_microbatches: int | None = None
    ) -> dict[OptimizerPart, float]:
        """Return the optimizer phase of the slowest rank.

        All wait for the global gradient norm, so it lasts as long on each.
        """
        made, work = (
            self.played(num_microbatches),
            self.chunks(layer, num_microbatches),
        )
        return slowest_optimizer(self.scenario, made, work)

    def step_s(self, num_microbatches: int, layer: Layer = Layer.IN_SITU) -> float:
        """Return the seconds of a step, by the graph's longest path."""
        work, pipeline_s = self.chunks(layer, num_microbatches), 0.0
        for count, weight in self.simulated(num_microbatches):
            graph = self.graph(count, num_microbatches)
            duration_s = [work.seconds(*kind) for kind in graph.classes]
            pipeline_s += weight * makespan_s(graph, duration_s)
        phases = optimizer_phases(self.scenario, self.played(num_microbatches), work)
        return pipeline_s + largest(*(sum(parts.values()) for parts in phases))

    def least_s(self, num_microbatches: int) -> float:
        """Return seconds that no step takes less than.

        A rank computes what it does, after the forward passes of the stages before its
        first one, and before the backward passes of those before its last.
        """
        work = self.chunks(num_microbatches=num_microbatches)
        busy_s = [0.0] * self.scenario.plan.pp
        for count, weight in self.simulated(num_microbatches):
            rows = self.program(count, num_microbatches).ranks
            for rank, row in enumerate(rows):
                for kind, times in Counter(map(duration_class, row)).items():
                    busy_s[rank] += weight * times * work.seconds(*kind)
        return max(
            seconds + _way_s(work, row[0], (Op.F,)) + _way_s(work, row[-1], BACKWARD)
            for seconds, row in zip(busy_s, rows, strict=True)
        )

    def simulate(self, num_microbatches: int, whole: int | None = None) -> StepTrace:
        """Return the pipeline part of such a program as SimPy plays it."""
        work = self.chunks(num_microbatches=num_microbatches)
        return simulate_step(
            self.program(num_microbatches, whole), lambda kind: work.seconds(*kind)
        )

    def traced(self, num_microbatches: int) -> TracedStep:
        """Return the step operation by operation, whole.

        Raises
        ------
        InfeasibleError
            If it has more than :data:`MOST_TRACED` operations.
        """
        self.check_traced(num_microbatches)
        work = self.chunks(num_microbatches=num_microbatches)
        made = self.program(num_microbatches)
        return TracedStep(
            made,
            detailed_step(
                made,
                lambda kind: work.seconds(*kind),
                lambda kind: work.operations(*kind),
            ),
            self.optimizer_parts(num_microbatches=num_microbatches),
            work.exchanges.send_bytes,
        )

    def check_traced(self, num_microbatches: int) -> None:
        """Raise unless a step is short enough for a trace; cheap, for before the work.

        Raises
        ------
        InfeasibleError
            If it has more than :data:`MOST_TRACED` operations.
        """
        size = num_microbatches * self._operations_per_microbatch(num_microbatches)
        if size > MOST_TRACED:
            raise InfeasibleError(
                f"a step of {num_microbatches:,} micro-batches has {size:,} operations",
                why=f"a trace shows at most {MOST_TRACED:,}",
                fix="a smaller batch: --set phases.0.global_batch_size=...",
            )

    def _operations_per_microbatch(self, num_microbatches: int) -> int:
        """Return the operations of one of a step's micro-batches on all ranks."""
        work = self.chunks(num_microbatches=num_microbatches)
        made = self.played(num_microbatches)
        counts = Counter(duration_class(step) for row in made.ranks for step in row)
        size = sum(len(work.operations(*kind)) * n for kind, n in counts.items())
        return size // made.pipeline.num_microbatches


def _way_s(work: Chunks, instruction: Instruction, ops: Collection[Op]) -> float:
    """Return the seconds of such a pass on all stages before this one."""
    if instruction.op not in ops:
        return 0.0
    return sum(
        work.seconds(instruction.op, stage) for stage in range(instruction.stage)
    )


@lru_cache(maxsize=4096)
def fewest_scheduled(name: str, pipeline: Pipeline) -> int:
    """Return the fewest micro-batches, not below the pipeline's, that a schedule runs.

    Raises
    ------
    InfeasibleError
        If the schedule refuses every number within reach.
    """
    generate, period = schedule[name], 2 * pipeline.num_ranks
    beyond = pipeline.num_microbatches - max(MOST_SIMULATED, 2 * period)
    whole = max(0, -(-beyond // period) * period)  # what is taken repeats
    first = pipeline.num_microbatches - whole
    check_size(replace(pipeline, num_microbatches=first))
    problem: InfeasibleError | None = None
    for count in range(first, first + period + 2):
        try:
            next(iter(generate(0, replace(pipeline, num_microbatches=count))))
        except InfeasibleError as error:
            problem = problem or error
        else:
            return whole + count
    assert problem is not None  # noqa: S101 - the loop ran at least once
    raise problem


def slowest_optimizer(
    scenario: Scenario, made: Program, work: Chunks
) -> dict[OptimizerPart, float]:
    """Return the optimizer phase of the rank that takes longest over it."""
    phases = optimizer_phases(scenario, made, work)
    return max(phases, key=lambda spent: sum(spent.values()))


def optimizer_phases(
    scenario: Scenario, made: Program, work: Chunks
) -> list[dict[OptimizerPart, float]]:
    """Return the parts of the optimizer phase on each kind of rank.

    There is none where nothing runs backward.
    """
    if not made.runs_backward:
        return [{}]
    of_rank = [made.stages_of(rank) for rank in range(len(made.ranks))]
    num_copies = sum(0 in stages for stages in of_rank)
    is_split = any(step.op is Op.I for step in made.ranks[0])
    back = (Op.I, Op.W) if is_split else (Op.B,)
    gradients = scenario.software.gradients
    tied = _tied(scenario, work, of_rank)
    hides = gradients.overlaps_reduction or scenario.plan.zero > 1
    phases = []
    for stages in dict.fromkeys(of_rank):
        parts = [work.stages[stage] for stage in stages]
        behind = [(op, stage) for stage in stages for op in back]
        before = [(Op.F, stage) for stage in stages]
        window = Window(
            backward_s=sum(work.seconds(*chunk) for chunk in behind),
            forward_s=sum(work.seconds(*chunk) for chunk in before),
            num_layers=sum(element.is_layer for part in parts for element in part),
            backward_lent=work.lent_share(behind) if hides else 0.0,
            forward_lent=work.lent_share(before) if gradients.overlaps_gather else 0.0,
            backward_host_s=sum(work.host_s(*chunk) for chunk in behind),
        )
        own = total_held(scenario, parts)
        flat = [element for part in parts for element in part]
        ends = sum(held(scenario, one).shared for one in flat if not one.is_layer)
        spent = optimizer_phase_s(
            scenario,
            own,
            num_copies,
            work.timing.device,
            work.exchanges.links,
            window,
            Parcels(buckets(scenario, flat), min(ends, own.shared)),
            work.host,
        )
        kinds = {element.kind for element in flat}
        phases.append(tied | spent if kinds & ENDS else spent)
    return phases


def _tied(
    scenario: Scenario, work: Chunks, of_rank: Sequence[tuple[int, ...]]
) -> dict[OptimizerPart, float]:
    """Return the seconds in which two ranks add up the gradient of tied weights.

    Each holds a copy. Source: NVIDIA/Megatron-LM, commit 23e00ed,
    ``core/distributed/finalize_model_grads.py``.
    """
    if not scenario.model.tied_embeddings:
        return {}
    holders = [
        next(
            rank
            for rank, stages in enumerate(of_rank)
            if any(part.kind == end for stage in stages for part in work.stages[stage])
        )
        for end in sorted(ENDS)
    ]
    rows = rows_of_rank(scenario.model, scenario.software, scenario.plan.tp)
    num_bytes = float(rows * scenario.model.hidden_size * gradient_bytes(scenario))
    return {OptimizerPart.REDUCE_TIED: work.exchanges.pair_s(num_bytes, *holders)}
