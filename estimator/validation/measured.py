"""What a record measured, as quantities that a prediction can be held against."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from estimator.catalog.records.models import Record
from estimator.catalog.records.words import says
from estimator.costs.flop import flop_per_token, mtp_flop_per_token
from estimator.costs.params import params
from estimator.costs.rates import half_precision
from estimator.ground.units import HOUR_S
from estimator.specs.scenario import Scenario

GIB = float(2**30)
_EXECUTED = r"hardware flop|4x forward|recomputation included"
DERIVED = (
    "step_time_s",
    "step_time_s_if_noncausal",
    "step_time_s_from_tflops_causal",
    "step_time_s_from_tflops_noncausal",
)
"""Step times that somebody computed from what the source prints, the best first."""
MEMORY: tuple[tuple[str, float, str], ...] = (
    ("peak_mem_gib", GIB, ""),
    (
        "mem_reserved_gb",
        1e9,
        "memory that the allocator reserved, at most; what this source prints as "
        "allocated leaves activations out",
    ),
    ("mem_alloc_gb", 1e9, "allocated memory is read as 1e9 bytes a GB, as printed"),
    ("peak_mem_gb", 1e9, "peak memory is read as 1e9 bytes a GB, as printed"),
)
"""Printed peak memory, bytes of its unit, and what was assumed about it."""


class MeasuredFigure(NamedTuple):
    """One measured quantity."""

    quantity: str
    """``step_s``, ``peak_bytes`` or ``fits``."""
    measured: float | bool
    note: str = ""


def figures(record: Record, scenario: Scenario) -> Iterator[MeasuredFigure]:
    """Yield what of a record can be scored.

    A run that finished is a label "fits", a plan that ran out of memory one that does
    not; the latter has no step time.
    """
    is_oom = record["record"] == "oom" or record["measured"].get("oom") is True
    if not is_oom:
        step = step_time(record, scenario)
        if step is not None:
            yield step
        for key, unit, note in MEMORY:
            if key in record["measured"]:
                yield MeasuredFigure("peak_bytes", record["measured"][key] * unit, note)
                break
    yield MeasuredFigure("fits", not is_oom)


def step_time(record: Record, scenario: Scenario) -> MeasuredFigure | None:
    """Return the step time by the first figure that exists, of the most direct kind.

    Printed step time, tokens or sequences per second, a derived time, and last a time
    from TFLOP/s or MFU by the source's way of counting; None without any.
    """
    measured, batch = record["measured"], record["batch"]
    gpus = scenario.cluster.num_gpus
    tokens = float(batch["global"] * batch["seq_len"])
    one_per_s = {
        "tokens_per_s_per_gpu": tokens / gpus,
        "tokens_per_s": tokens,
        "samples_per_s_per_gpu": batch["global"] / gpus,
        "samples_per_s": float(batch["global"]),
    }
    if "step_time_s" in measured:
        return MeasuredFigure("step_s", float(measured["step_time_s"]))
    if "gpu_hours_per_T_tokens" in measured:
        hours = measured["gpu_hours_per_T_tokens"] * tokens / 1e12
        return MeasuredFigure(
            "step_s", hours * HOUR_S / gpus, "measured: from GPU-hours"
        )
    for key, seconds in one_per_s.items():
        if key in measured:
            return MeasuredFigure("step_s", seconds / measured[key])
    for key in DERIVED:
        if key in record["derived"]:
            note = "" if key == "step_time_s" else f"measured: derived.{key}"
            return MeasuredFigure("step_s", record["derived"][key], note)
    return _from_flop(record, scenario, tokens)


def _from_flop(
    record: Record, scenario: Scenario, tokens: float
) -> MeasuredFigure | None:
    """Return the step time that TFLOP/s or MFU stands for."""
    measured, is_executed = record["measured"], _is_executed(record)
    if "tflops_per_gpu" in measured:
        rate, shown = measured["tflops_per_gpu"] * 1e12, "TFLOP/s"
    elif "mfu" in measured:
        rate, shown = measured["mfu"] * _peak(scenario), "MFU"
        is_executed = False
    else:
        return None
    model, seq_len = scenario.model, record["batch"]["seq_len"]
    told = record.get("flop", {})
    is_causal = _is_causal(record)
    counted = "causal" if is_causal else "full attention"
    if "per_parameter" in told and shown == "TFLOP/s":
        flop = float(told["per_parameter"] * params(model).total)
        width = model.num_layers * model.hidden_size * seq_len
        flop += told.get("per_layer_and_width", 0) * width
        counted = "as the framework logs it"
    else:
        flop = flop_per_token(model, seq_len, is_causal=is_causal)
    if is_causal:
        flop += mtp_flop_per_token(model, seq_len, is_causal=True)
    if is_executed:
        flop *= 4 / 3
        counted += ", recomputation included"
    seconds = flop * tokens / rate / scenario.cluster.num_gpus
    return MeasuredFigure(
        "step_s", seconds, f"measured: from {shown}, counting {counted}"
    )


def _is_causal(record: Record) -> bool:
    """Return whether attention is halved: as a record tells, else as its words do."""
    told = record.get("flop", {}).get("attention")
    said = says(record.get("flop_convention"), "causal")
    return bool(told == "causal" if told else said)


def _is_executed(record: Record) -> bool:
    """Return whether recomputation is counted: four forward passes for three."""
    told = record.get("flop", {}).get("executed")
    said = says(record.get("flop_convention"), _EXECUTED)
    return bool(said if told is None else told)


def _peak(scenario: Scenario) -> float:
    gpu = scenario.cluster.node.gpu
    return gpu.peak_flop_per_s[half_precision(gpu)]
