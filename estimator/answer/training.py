"""From one step to the run: the batch ramp, and memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from estimator.answer.report import Memory
from estimator.answer.step_model import StepModel
from estimator.ground.words import size
from estimator.specs.training import GlobalBatch
from estimator.workload.memory import RankMemory, memory
from estimator.workload.stages import elements
from estimator.workload.work import sizes

RAMP_POINTS = 96
"""Intervals of a batch ramp's integral."""


def phase_time(
    model: StepModel, batch: GlobalBatch, num_tokens: float, full_step_s: float
) -> tuple[float, float]:
    """Return seconds and steps of a phase whose batch may grow linearly in tokens.

    In between its start and its end, step time is linear in the number of
    micro-batches, within 0.1 %. Fewer tokens than one batch take a whole step.
    """
    wall_s, steps = _stretch(model, batch, num_tokens, full_step_s)
    if steps >= 1:
        return wall_s, steps
    first, full = (
        model.num_microbatches(size) for size in (batch.initial, batch.final)
    )
    return (full_step_s if first == full else model.step_s(first)), 1.0


def _stretch(
    model: StepModel, batch: GlobalBatch, num_tokens: float, full_step_s: float
) -> tuple[float, float]:
    """Return the same in steps and parts of them."""
    ramp_tokens = min(batch.ramp_tokens, num_tokens)
    rest = num_tokens - ramp_tokens
    steps = rest / (batch.final * model.seq_len)
    wall_s = steps * full_step_s
    if not ramp_tokens:
        return wall_s, steps
    ends = [model.num_microbatches(size) for size in (batch.initial, batch.final)]
    low, high = (model.scheduled(count) for count in ends)
    points = sorted({low, high})
    times = [full_step_s if n == high else model.step_s(n) for n in points]
    share = (np.arange(RAMP_POINTS) + 0.5) / RAMP_POINTS
    share *= ramp_tokens / batch.ramp_tokens
    size = batch.initial + (batch.final - batch.initial) * share
    count = size / (model.scenario.plan.micro_batch_size * model.scenario.dp)
    ramp_steps = ramp_tokens / RAMP_POINTS / (size * model.seq_len)
    # the step time at each point of the ramp, by the weights of its two ends
    late = np.interp(count, points, [float(n == points[-1]) for n in points])
    wall_s += float(np.sum(ramp_steps * (1 - late))) * times[0]
    wall_s += float(np.sum(ramp_steps * late)) * times[-1]
    return wall_s, steps + float(np.sum(ramp_steps))


LEANER = (
    {"recompute": ("layernorm", "moe_act")},
    {"recompute": ("layernorm", "mla_up_proj", "moe_act")},
    {"recompute": ("layernorm", "mla_up_proj", "mlp", "moe")},
    {"recompute": ("full",)},
)
"""Changes that save memory, from the cheapest to the dearest in time."""


SPREAD = "spread the weights further (pp, tp, ep) or take a GPU with more memory"


def memory_report(model: StepModel, global_batch: int) -> Memory:
    """Return the peak memory of the fullest rank, and what would fit."""
    ranks, in_flight = rank_memory(model, global_batch)
    fullest = max(range(len(ranks)), key=lambda rank: ranks[rank].total)
    worst, scenario = ranks[fullest], model.scenario
    hbm, usable = scenario.cluster.node.gpu.hbm_bytes, scenario.usable_bytes
    fits = worst.total <= hbm
    return Memory(
        peak_bytes=worst.total,
        hbm_bytes=hbm,
        headroom_bytes=hbm - usable,
        fits=fits,
        fits_with_headroom=worst.total <= usable,
        rank=fullest,
        in_flight=in_flight,
        parts=vars(worst).copy(),
        ranks=tuple(vars(rank).copy() for rank in ranks),
        advice=_what_would_fit(model, global_batch, worst.total)
        if worst.total > usable
        else "",
    )


def peak_bytes(model: StepModel, global_batch: int) -> float:
    """Return the bytes of the fullest rank."""
    return max(rank.total for rank in rank_memory(model, global_batch)[0])


def rank_memory(
    model: StepModel, global_batch: int
) -> tuple[tuple[RankMemory, ...], tuple[int, ...]]:
    """Return the peak memory of each pipeline rank, and its chunks in flight."""
    size = sizes(model.scenario, model.seq_len)
    ranks: tuple[RankMemory, ...] = ()
    alive = [0.0] * model.scenario.plan.pp
    whole = model.num_microbatches(global_batch)
    for count, weight in model.simulated(whole):
        made = model.program(count, whole)
        stages = elements(model.scenario, made.num_stages)
        more = memory(model.scenario, size, made, stages)
        kept = [
            (ranks[rank].activations if ranks else 0.0) + weight * one.activations
            for rank, one in enumerate(more)
        ]
        ranks = tuple(
            replace(one, activations=kept[rank]) for rank, one in enumerate(more)
        )
        alive = [
            before + weight * chunks_alive
            for before, chunks_alive in zip(alive, made.in_flight(), strict=True)
        ]
    return ranks, tuple(round(count) for count in alive)


def _what_would_fit(model: StepModel, global_batch: int, needed: float) -> str:
    """Return what to change for a plan that needs more bytes than may be used."""
    scenario = model.scenario
    if not model.played().runs_backward:
        return f"nothing is kept for a backward pass; {SPREAD}"
    least = needed
    for change in LEANER:
        leaner = StepModel(replace(scenario, **change), model.seq_len)
        peak = peak_bytes(leaner, global_batch)
        if peak <= scenario.usable_bytes:
            modules = ", ".join(change["recompute"])
            return f"recompute=[{modules}] needs {size(peak)} and fits"
        least = min(least, peak)
    free = 1 - least / scenario.cluster.node.gpu.hbm_bytes
    if free >= 0:  # bytes fit: it is what is to be left free that does not
        what = "the plan" if least == needed else "full recomputation"
        return (
            f"{what} fits with memory_headroom={int(1000 * free) / 1000:g}; else "
            "spread the weights further (pp, tp, ep)"
        )
    return f"not even full recomputation fits; {SPREAD}"
