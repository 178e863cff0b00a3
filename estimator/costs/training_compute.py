"""Operations used for training, and the lines that regulation draws.

What is counted is model FLOP (see :mod:`estimator.costs.flop`): each matrix product of
the passes that run, causal attention, one head; no recomputation. The usual 6 N D is
this count without attention. Rules speak of operations of the whole training: what a
phase without published tokens took comes on top.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Threshold:
    """A number of operations that a rule names."""

    flop: float
    rule: str
    brief: str
    """The rule in a few words."""
    source: str


THRESHOLDS = (
    Threshold(
        1e25,
        "EU AI Act, Article 51(2): above it a general-purpose model is presumed to "
        "have systemic risk",
        "EU AI Act, systemic risk presumed",
        "Regulation (EU) 2024/1689, Article 51(2): cumulative amount of computation "
        "used for training",
    ),
    Threshold(
        1e26,
        "US Executive Order 14110, section 4.2(b): reports were due above it; revoked "
        "on 20 January 2025",
        "US EO 14110, revoked",
        "88 FR 75191, section 4.2(b)(i); revoked by Executive Order 14148, 90 FR 8237",
    ),
    Threshold(
        1e26,
        "California SB 53 (2025): above it a model is a frontier model, fine-tuning "
        "and reinforcement learning counted",
        "California SB 53",
        "Transparency in Frontier Artificial Intelligence Act, Business and "
        "Professions Code, section 22757.11; in force since 1 January 2026",
    ),
)


@dataclass(frozen=True)
class Standing:
    """Where a training stands against one line."""

    flop: float
    rule: str
    source: str
    brief: str
    """The rule in a few words."""
    share: float
    """Operations counted, over the line."""
    crossed: bool


def standings(total_flop: float) -> tuple[Standing, ...]:
    """Return where so many operations stand against every line.

    Parameters
    ----------
    total_flop : float
        Model FLOP of the whole training, not negative.

    Returns
    -------
    tuple of Standing
        One for each of :data:`THRESHOLDS`, in their order; a line is crossed above it,
        not at it.

    Examples
    --------
    >>> [(made.flop, made.crossed) for made in standings(3.8e25)]
    [(1e+25, True), (1e+26, False), (1e+26, False)]
    """
    return tuple(
        Standing(
            flop=line.flop,
            rule=line.rule,
            source=line.source,
            brief=line.brief,
            share=total_flop / line.flop,
            crossed=total_flop > line.flop,
        )
        for line in THRESHOLDS
    )
