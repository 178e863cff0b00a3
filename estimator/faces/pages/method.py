"""The Method page: what is counted and what is not, formulas, constants, limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from estimator.answer.report import Report
from estimator.catalog import kinds, reading
from estimator.costs import flop, kernels
from estimator.faces.pages.question import Question
from estimator.faces.pages.show import figure, let_numbers_paint
from estimator.faces.pages.text import breakable, plain
from estimator.ground.units import HOUR_S
from estimator.ground.words import CLOSE, dollars, duration, quantity, short
from estimator.schedules.closed_form import durations
from estimator.schedules.programs import schedule
from estimator.show import pipelines
from estimator.show.wording import LAYER_WORDS, price_words
from estimator.specs.scenario import Scenario

RANKS, MICROBATCHES = 8, 32
"""Of the schedules that are shown side by side."""
DOCUMENTS: Mapping[str, str] = {
    "deepseek-v3.md": "DeepSeek-V3 in detail",
    "validation.md": "Where predictions hold, and where they do not",
    "constants.md": "Where the constants come from",
    "costs.md": "Three bases of cost",
    "plans.md": "Published plans among all plans",
}
LIMITS = "## Where it does not"
"""Section of ``validation.md`` that tells them."""


def page(question: Question) -> None:
    """Show how the numbers of the question arise."""
    report, scenario = question.report, question.resolved
    st.subheader("How the numbers arise", anchor=False)
    _counted(report, scenario)
    _formulas(report)
    _constants(question)
    _schedules()
    _limits()
    _documents()


def _counted(report: Report, scenario: Scenario) -> None:
    st.markdown("**What is counted, and what is not**")
    published = [phase for phase in report.phases if phase.basis == "published"]
    lines = [
        f"Counted: {', '.join(phase.name for phase in report.phases)}.",
        *(
            f"Taken over as {phase.basis_title}, not predicted: {phase.name}, "
            f"{short(phase.gpu_hours)} GPU-hours ({phase.source})."
            for phase in published
        ),
        f"{price_words(report)}. It covers {scenario.price.includes}.",
        f"Not counted: {report.not_counted}.",
        f"Range: {report.range_method}.",
    ]
    st.markdown("\n".join(f"- {plain(line)}" for line in lines))


def _formulas(report: Report) -> None:
    """Show the formulas, each with the numbers that the sidebar gives."""
    st.markdown("**From seconds to dollars, with the numbers of the sidebar**")
    step, main = report.step, next(p for p in report.phases if p.basis == "simulated")
    hours = main.wall_s * report.num_gpus / HOUR_S
    st.latex(
        r"H = \sum_\mathrm{phases} \frac{N\,t_\mathrm{phase}}{3600}, \quad C = H p"
    )
    st.caption(
        plain(
            f"{main.name}: N = {report.num_gpus:,} GPUs for "
            f"{duration(main.wall_s, CLOSE)} are {short(hours, CLOSE)} "
            f"GPU-hours; with all phases H = {short(report.gpu_hours, CLOSE)}, at p = "
            f"{dollars(report.usd_per_gpu_hour, CLOSE)} an hour"
            + (
                f", to which the programme adds {dollars(report.around_usd)}."
                if report.around_usd
                else "."
            )
        )
    )
    st.latex(r"t_\mathrm{phase} = \sum_\mathrm{steps} t_\mathrm{step}(\mathrm{batch})")
    st.caption(
        plain(
            f"{main.num_steps:,} steps; one at its full batch takes "
            f"{duration(step.step_s, CLOSE)}. Steps with other batches have their "
            "own length."
        )
    )
    st.latex(
        r"t_\mathrm{step} = t_\mathrm{chunks} + t_\mathrm{bubble} "
        r"+ t_\mathrm{optimizer}"
    )
    st.caption(
        "On each pipeline rank. Chunks are timed operation by operation on a "
        "computation and a communication stream; the schedule is played as discrete "
        "events, so that the bubble is what is left, not a formula: "
        + plain(f"{step.bubble_fraction:.1%} of this step.")
    )
    st.latex(
        r"\mathrm{MFU} = \frac{f\;\mathrm{tokens/s}}{N\,\mathrm{FLOP/s}_\mathrm{BF16}}"
    )
    per_token = 1e12 * step.tflop_per_s_per_gpu / step.tokens_per_s_per_gpu
    st.caption(
        plain(
            f"f = {quantity(per_token, 'FLOP')} a token (causal attention, without "
            f"recomputation), {short(step.tokens_per_s)} tokens a second: "
            f"{step.mfu:.1%}."
        )
    )
    with st.expander("How FLOP are counted"):
        st.text(flop.__doc__ or "")
    with st.expander("How long a matrix product takes"):
        st.text(kernels.__doc__ or "")
        st.text(kernels.gemm_s.__doc__ or "")


def _constants(question: Question) -> None:
    st.markdown("**Constants, layer by layer**")
    st.markdown("\n".join(f"- {plain(words)}" for words in LAYER_WORDS.values()))
    let_numbers_paint()
    figure(question, "layers")


def _schedules() -> None:
    """Show every schedule, played and by its closed form."""
    st.markdown("**Pipeline schedules**")
    st.caption(
        f"{RANKS} ranks, {MICROBATCHES} micro-batches, F = I = W = 1 s: the bubble of "
        "a rank as it is played, beside the formula of its authors where there is one."
    )
    st.dataframe(
        pd.DataFrame(_played()),
        hide_index=True,
        height="content",
        placeholder="",
        column_config={
            "schedule": st.column_config.TextColumn(width=165),
            "what it keeps": st.column_config.TextColumn(width="large"),
        },
    )


@st.cache_data(show_spinner=False)
def _played() -> list[dict[str, Any]]:
    spent, rows = durations(), []
    for name in schedule:
        step = pipelines.load_step(name, RANKS, MICROBATCHES, None, spent)
        known = step.closed_form
        rows.append(
            {
                "schedule": name,
                "bubble, s": sum(step.bubble_s) / RANKS,
                "formula, s": known.bubble_s if known else None,
                "formula holds": known.condition if known else "no formula",
                "share of the step, %": round(100 * step.bubble_fraction, 1),
                "chunks in flight": max(step.graph.program.in_flight()),
                "what it keeps": _first_line(schedule[name].__doc__),
            }
        )
    return rows


def _first_line(text: str | None) -> str:
    line = (text or "").split("\n")[0].replace("``", "")
    return line.removeprefix("Yield rank's work; ").rstrip(".")


def _limits() -> None:
    """Show where not to trust a prediction."""
    text = _document("validation.md")
    if LIMITS not in text:
        return
    st.markdown("**Where not to trust it**")
    st.markdown(_safe(text.split(LIMITS, 1)[1].split("\n## ", 1)[0]))


def _documents() -> None:
    found = {name: _document(name) for name in DOCUMENTS}
    if not any(found.values()):
        return
    st.markdown("**To read on**")
    for name, text in found.items():
        if text:
            with st.expander(breakable(DOCUMENTS[name])):
                st.markdown(_safe(text.split("\n", 1)[1]))


def _document(name: str) -> str:
    """Return a document's text; nothing where documents were left out."""
    path = kinds.data_folder() / "docs" / name
    return reading.read_text(path) if path.is_file() else ""


def _safe(text: str) -> str:
    """Return Markdown whose dollars are no formulas and whose heads are small."""
    return text.replace("$", r"\$").replace("\n## ", "\n##### ")
