"""Reports as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.padding import Padding
from rich.text import Text

from estimator.answer.report import Assumption, Report
from estimator.ground.words import (
    CLOSE,
    dollars,
    duration,
    energy,
    flop,
    mass,
    quantity,
    relative,
    several,
    short,
    signed,
    size,
)
from estimator.show.console import console
from estimator.show.tables.words import IS_DRAWN, Words
from estimator.show.wording import (
    IF_IT_DID,
    LAYER_ADDS,
    LAYER_WORDS,
    PART_WORDS,
    brief,
    checked_words,
    compute_words,
    does_not_fit,
    how_it_fits,
    misfit,
    weight,
)

BAR_WIDTH = 32


def print_report(
    report: Report, layer_steps: Mapping[str, float] | None, *, has_notes: bool
) -> None:
    """Print one report: the answer, where it comes from, what it rests on."""
    out = console()
    if not report.memory.fits:
        out.print(Text(does_not_fit(report.memory), style="bold"))
        out.print(IF_IT_DID)
    elif wrong := misfit(report.memory):
        out.print(wrong)
    out.print(Text(f"{report.scenario}  {report.question}", style="bold"))
    out.print(headline(report))
    if sum(usd > 0 for usd in report.cost.values()) > 1:
        out.print(costs(report))
    out.print(phases(report))
    out.print(causes(report))
    out.print(ranks(report))
    if layer_steps:
        out.print(layers(layer_steps))
    if has_notes:
        for line in _assumptions(report.assumptions):
            out.print(line)
    out.print(f"Not counted: {report.not_counted}.")


def headline(report: Report) -> Words:
    """Return the numbers that were asked for, with their ranges."""
    step, memory = report.step, report.memory
    hours, cost = report.range["gpu_hours"], report.range["cost_usd"]
    published = report.published_gpu_hours
    table = Words.of("", ("", "left"), ("", "right"), ("", "left"), has_heads=False)
    table.add_row(
        "cost",
        dollars(report.cost_usd),
        f"range {dollars(cost[0])} to {dollars(cost[1])}, at "
        f"{dollars(report.usd_per_gpu_hour, CLOSE)} a GPU-hour",
    )
    table.add_row("basis", "", report.cost_basis_title)
    table.add_row(
        "GPU-hours",
        short(report.gpu_hours),
        f"range {short(hours[0])} to {short(hours[1])}"
        + (
            f"; {short(published)} of them as published, not predicted"
            if published
            else ""
        ),
    )
    table.add_row(
        "wall time",
        duration(report.wall_s),
        f"on {report.num_gpus:,} x {report.gpu}, without interruption",
    )
    table.add_row(
        "step",
        duration(step.step_s),
        f"{short(step.tokens_per_s_per_gpu)} tokens/s/GPU, "
        f"{several(f'{step.num_microbatches:,}', 'micro-batch')} a replica",
    )
    table.add_row("software", "", f"{report.software_title} ({report.software})")
    table.add_row(
        "MFU",
        f"{step.mfu:.1%}",
        f"causal, of the {step.peak_dtype.upper()} peak; "
        f"{step.mfu_noncausal:.1%} with full attention; HFU {step.hfu:.1%}",
    )
    table.add_row(
        "memory",
        size(memory.peak_bytes),
        f"{how_it_fits(memory)} in {size(memory.hbm_bytes)} on rank {memory.rank}: "
        + ", ".join(f"{part} {size(held)}" for part, held in memory.parts.items()),
    )
    table.add_row(
        "energy",
        energy(report.energy_joules),
        f"{mass(report.co2_kg)} CO2; servers and facility, in use only",
    )
    table.add_row("computation", flop(report.total_flop), compute_words(report))
    if report.track_record:
        table.add_row("checked", "", checked_words(report.track_record))
    return table


def costs(report: Report) -> Words:
    """Return what the cost is made of."""
    table = Words.of(
        "\nWhat it costs",
        ("part", "left"),
        ("cost", "right"),
        ("share", "right"),
    )
    for part, usd in report.cost.items():
        share = f"{usd / report.cost_usd:.1%}"
        table.add_row(PART_WORDS[part], dollars(usd), share)
    table.add_row("together", dollars(report.cost_usd), "100.0%")
    return table


def phases(report: Report) -> Words:
    """Return what each phase takes."""
    table = Words.of(
        "\nPhases",
        ("phase", "left"),
        ("basis", "left"),
        ("tokens", "right"),
        ("steps", "right"),
        ("step", "right"),
        ("GPU-hours", "right"),
        ("cost", "right"),
        ("wall time", "right"),
    )
    for phase in report.phases:
        is_simulated = phase.basis == "simulated"
        table.add_row(
            phase.name,
            phase.basis_title,
            short(phase.num_tokens) if is_simulated else "",
            f"{phase.num_steps:,}" if is_simulated else "",
            duration(phase.step_s) if is_simulated else "",
            short(phase.gpu_hours),
            dollars(phase.cost_usd),
            duration(phase.wall_s),
        )
    return table


def causes(report: Report) -> Words:
    """Return where the seconds of a step go."""
    table = Words.of(
        "\nWhere a step goes (mean over pipeline ranks)",
        ("cause", "left"),
        ("time", "right"),
        ("share", "right"),
        ("", "left", IS_DRAWN),
    )
    step_s = report.step.step_s
    for cause, seconds in sorted(report.step.parts.items(), key=lambda item: -item[1]):
        bar = "#" * max(1, round(BAR_WIDTH * seconds / step_s))
        table.add_row(cause, duration(seconds), f"{seconds / step_s:.1%}", bar)
    table.add_row("step", duration(step_s), "100.0%", "")
    return table


def ranks(report: Report) -> Words:
    """Return what each pipeline rank does, and its memory."""
    names = (
        "forward",
        "backward",
        "backward_input",
        "weight",
        "overlapped",
        "bubble",
        "optimizer",
    )
    table = Words.of(
        "\nTime of a step by pipeline rank",
        ("rank", "right"),
        *((name.replace("_", " "), "right") for name in names),
        ("step", "right"),
        ("in flight", "right"),
        ("memory", "right"),
    )
    for row, alive, memory in zip(
        report.step.ranks, report.memory.in_flight, report.memory.ranks, strict=True
    ):
        table.add_row(
            str(row.rank),
            *(duration(getattr(row, name + "_s")) for name in names),
            duration(row.total_s),
            str(alive),
            size(sum(memory.values())),
        )
    return table


def memory(report: Report) -> Words:
    """Return what fills the memory of each pipeline rank."""
    parts = list(report.memory.parts)
    table = Words.of(
        "\nMemory at the peak by pipeline rank",
        ("rank", "right"),
        *((part, "right") for part in parts),
        ("sum", "right"),
        ("GPU has", "right"),
    )
    for number, held in enumerate(report.memory.ranks):
        sizes = [*(held[part] for part in parts), sum(held.values())]
        table.add_row(
            str(number),
            *map(size, (*sizes, report.memory.hbm_bytes)),
        )
    return table


def layers(layer_steps: Mapping[str, float]) -> Words:
    """Return the step as layers of constants are added."""
    table = Words.of(
        "\nThe step as layers of constants are added",
        ("layer", "left"),
        ("step", "right"),
        ("change", "right"),
        ("what it adds", "left"),
    )
    before: float | None = None
    for layer, seconds in layer_steps.items():
        change = "" if before is None else signed(duration(seconds - before))
        table.add_row(layer, duration(seconds), change, LAYER_ADDS[layer])
        before = seconds
    return table


def _assumptions(rows: Sequence[Assumption]) -> Iterator[Text | Padding]:
    yield Text("\nWhat it rests on", style="bold")
    yield Text(
        "effect: the change of the step, or of the cost where so named, at the low and "
        "at the high end of a constant"
    )
    for layer, words in LAYER_WORDS.items():
        yield Text(f"\n{words}", style="bold")
        here = (row for row in rows if row.layer == layer)
        for row in sorted(here, key=weight, reverse=True):
            if isinstance(row.value, str):
                yield _indented(row.value, 2)
                continue
            line = f"  {brief(row.name):<30} {quantity(row.value, row.unit):>14}"
            if row.low is not None and row.high is not None:
                low_end, high_end = (
                    quantity(end, row.unit) for end in (row.low, row.high)
                )
                line += f"  {low_end} to {high_end}"
            if row.step_effect:
                low, high = (ratio - 1 for ratio in row.step_effect)
                line += f"  effect {relative(low)} {relative(high)}"
            elif row.cost_effect:
                low, high = (ratio - 1 for ratio in row.cost_effect)
                line += f"  effect on cost {relative(low)} {relative(high)}"
            yield Text(line + ("" if row.status == "read" else f"  [{row.status}]"))
            yield _indented(row.source, 6)


def _indented(text: str, columns: int) -> Padding:
    return Padding(Text(text, style="dim"), (0, 0, 0, columns))
