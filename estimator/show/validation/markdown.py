"""The track record as the Markdown that stands in the README."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from estimator.show.validation.tables import (
    PEER_COLUMNS,
    Cells,
    Columns,
    count_words,
    memory_words,
    numbers,
    peer_lines,
    percent,
    sweep_words,
    texts,
)
from estimator.validation.runs import Outcome
from estimator.validation.scoring import (
    MODEL_KINDS,
    by_kind,
    grouped,
    mean_of_families,
    spread,
    worst,
)

COLUMNS = (
    *texts("source", "models"),
    *numbers("runs", "median", "p90", "bias"),
    *texts("furthest off"),
)
KIND_WORDS = {"dense": "dense", "moe": "MoE", "all": "all"}


def markdown(outcome: Outcome) -> str:
    """Return what ``validate --markdown`` prints: sources, means, peers, memory."""
    summary = outcome.summary()
    words = [count_words(summary), sweep_words(summary), *memory_words(summary)]
    parts = [_table(COLUMNS, list(_sources(outcome)))]
    peers = list(peer_lines(outcome))
    if peers:
        parts.append(_table(PEER_COLUMNS, peers))
    parts.append("\n".join(word for word in words if word))
    return "\n\n".join(parts) + "\n"


def _sources(outcome: Outcome) -> Iterator[Cells]:
    """Yield a line for each source and kind of model, then the means over sources."""
    kinds = by_kind(outcome.rows)
    for kind in MODEL_KINDS:
        for family, members in sorted(grouped(kinds[kind], "family").items()):
            made = spread([row.error for row in members])
            (last,) = worst(members, 1)
            yield (
                outcome.title(family),
                KIND_WORDS[kind],
                f"{len(members):,}",
                percent(made["median_abs_error"]),
                percent(made["p90_abs_error"]),
                percent(made["bias"], is_signed=True),
                f"{percent(last.error, is_signed=True)} `{last.id}`",
            )
    for kind, members in kinds.items():
        mean = mean_of_families(members)
        if mean:
            cells = (
                f"mean of {mean['num_families']:.0f} sources",
                KIND_WORDS[kind],
                f"{mean['num_runs']:,.0f}",
                percent(mean["median_abs_error"]),
                percent(mean["p90_abs_error"]),
                percent(mean["bias"], is_signed=True),
            )
            yield (*(f"**{cell}**" for cell in cells), "")


def _table(columns: Columns, lines: Sequence[Cells]) -> str:
    rule = ["---:" if column.side == "right" else "---" for column in columns]
    heads = _line([column.head for column in columns])
    return "\n".join([heads, f"|{'|'.join(rule)}|", *(_line(line) for line in lines)])


def _line(cells: Cells) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
