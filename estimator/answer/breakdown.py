"""Where the seconds of a step go: by pipeline rank, and by cause."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from estimator.answer.report import RankRow, Step
from estimator.answer.step_model import StepModel
from estimator.costs.flop import mfu
from estimator.costs.rates import half_precision
from estimator.engine.graph import DurationClass, duration_class
from estimator.engine.step import StepTrace
from estimator.schedules.notation import Op, Program
from estimator.specs.scenario import Scenario
from estimator.workload.causes import EXPOSED, Cause
from estimator.workload.chunks import Chunks
from estimator.workload.optimizer_parts import SYNCHRONISATION

MOST_PLAYED = 20_000
"""Instructions of a step that SimPy plays in a second."""


def step_report(
    model: StepModel, global_batch: int, step_s: float, *, is_played: bool = True
) -> Step:
    """Return where the seconds of one simulated step at this batch go.

    Parameters
    ----------
    step_s : float
        Seconds of the step: :meth:`StepModel.step_s` of the batch.
    is_played : bool
        Whether SimPy plays what each rank does, up to :data:`MOST_PLAYED` instructions;
        else it is counted in the program, the same within rounding.
    """
    scenario, num_microbatches = model.scenario, model.num_microbatches(global_batch)
    work = model.chunks(num_microbatches=num_microbatches)
    optimizer = model.optimizer_parts(num_microbatches=num_microbatches)
    optimizer_s = sum(optimizer.values())
    rows: list[RankRow] = []
    parts: dict[Cause, float] = {}
    for count, weight in model.simulated(num_microbatches):
        made = model.program(count, num_microbatches)
        more = (
            rank_rows(model.simulate(count, num_microbatches), len(made.ranks))
            if is_played and sum(map(len, made.ranks)) <= MOST_PLAYED
            else counted_rows(made, work)
        )
        rows = _added(rows, more, weight)
        for cause, seconds in causes(made, work).items():
            parts[cause] = parts.get(cause, 0.0) + weight * seconds
    rows = [replace(row, optimizer_s=optimizer_s) for row in rows]
    rows = _awaited(rows, step_s)
    bubble_s = sum(row.bubble_s for row in rows) / len(rows)
    sync_s = sum(
        seconds for part, seconds in optimizer.items() if part in SYNCHRONISATION
    )
    parts |= {
        Cause.BUBBLE: bubble_s,
        Cause.SYNCHRONISATION: sync_s,
        Cause.OPTIMIZER: optimizer_s - sync_s,
    }
    step_s = rows[0].total_s
    num_gpus = scenario.cluster.num_gpus
    tokens_per_s = global_batch * model.seq_len / step_s
    causal = model.flop_per_token()
    shares = scenario.dp * scenario.plan.tp * scenario.plan.cp
    flop = executed_flop(work, model.played(num_microbatches).passes)
    executed = flop * num_microbatches * shares
    return Step(
        step_s=step_s,
        tokens_per_s=tokens_per_s,
        tokens_per_s_per_gpu=tokens_per_s / num_gpus,
        tflop_per_s_per_gpu=causal * tokens_per_s / num_gpus / 1e12,
        mfu=model_mfu(model, global_batch, step_s),
        mfu_noncausal=model_mfu(model, global_batch, step_s, is_causal=False),
        hfu=executed / step_s / (num_gpus * half_peak(scenario)),
        peak_dtype=half_precision(scenario.cluster.node.gpu),
        bubble_fraction=bubble_s / step_s,
        exposed_comm_s=sync_s
        + sum(seconds for cause, seconds in parts.items() if cause in EXPOSED),
        num_microbatches=num_microbatches,
        ranks=tuple(rows),
        parts={cause.value: seconds for cause, seconds in parts.items() if seconds > 0},
        optimizer_parts={part.value: seconds for part, seconds in optimizer.items()},
    )


def model_mfu(
    model: StepModel, global_batch: int, step_s: float, *, is_causal: bool = True
) -> float:
    """Return the share of the 16-bit peak that a step's model FLOP are."""
    scenario, seq_len = model.scenario, model.seq_len
    flop = model.flop_per_token(is_causal=is_causal)
    tokens_per_s = global_batch * seq_len / step_s
    return mfu(flop, tokens_per_s, scenario.cluster.num_gpus, half_peak(scenario))


def half_peak(scenario: Scenario) -> float:
    """Return a GPU's peak in the 16-bit format that it trains in."""
    gpu = scenario.cluster.node.gpu
    return gpu.peak_flop_per_s[half_precision(gpu)]


def rank_rows(trace: StepTrace, num_ranks: int) -> list[RankRow]:
    """Return each rank's busy seconds by kind of chunk, as SimPy played them."""
    busy: list[dict[Op, float]] = [dict.fromkeys(Op, 0.0) for _ in range(num_ranks)]
    for span in trace.instructions:
        busy[span.rank][span.instruction.op] += span.end_s - span.start_s
    return _rows(busy)


def counted_rows(made: Program, work: Chunks) -> list[RankRow]:
    """Return the same from a program's instructions, without playing them."""
    busy = []
    for instructions in made.ranks:
        spent = dict.fromkeys(Op, 0.0)
        for kind, count in Counter(map(duration_class, instructions)).items():
            spent[Op(kind.op)] += count * work.seconds(*kind)
        busy.append(spent)
    return _rows(busy)


def _rows(busy: Sequence[Mapping[Op, float]]) -> list[RankRow]:
    return [
        RankRow(
            rank=rank,
            forward_s=spent[Op.F],
            backward_s=spent[Op.B],
            backward_input_s=spent[Op.I],
            weight_s=spent[Op.W],
            overlapped_s=spent[Op.FB],
            bubble_s=0.0,
            optimizer_s=0.0,
        )
        for rank, spent in enumerate(busy)
    ]


def _added(total: list[RankRow], more: list[RankRow], weight: float) -> list[RankRow]:
    """Return rows with ``weight`` times others added, second by second."""
    made = []
    for index, row in enumerate(more):
        before = vars(total[index]) if total else {}
        made.append(
            RankRow(
                **{
                    name: row.rank
                    if name == "rank"
                    else before.get(name, 0.0) + weight * seconds
                    for name, seconds in vars(row).items()
                }
            )
        )
    return made


def _awaited(rows: list[RankRow], step_s: float) -> list[RankRow]:
    """Return rows of busy ranks that wait for the rest of the step.

    None is busy for longer than the step. One that follows from two shorter ones is off
    by as much as these differ.
    """
    step_s = max(step_s, *(row.total_s for row in rows))
    return [replace(row, bubble_s=step_s - row.total_s) for row in rows]


def causes(made: Program, work: Chunks) -> dict[Cause, float]:
    """Return the busy seconds of a program by cause, mean over ranks."""
    counts: Counter[DurationClass] = Counter(
        duration_class(instruction)
        for instructions in made.ranks
        for instruction in instructions
    )
    spent: defaultdict[Cause, float] = defaultdict(float)
    for kind, count in counts.items():
        for cause, seconds in work.busy_by_cause(*kind).items():
            spent[cause] += seconds * count / len(made.ranks)
    return dict(spent)


def executed_flop(work: Chunks, passes: Sequence[Op] = (Op.F, Op.I, Op.W)) -> float:
    """Return the FLOP that all stages execute for one micro-batch and TP rank."""
    return sum(
        operation.flop
        for stage in range(len(work.stages))
        for op in passes
        for operation in work.operations(op, stage)
    )
