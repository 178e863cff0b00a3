"""Our errors beside those of other simulators, on the rows that both predict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from estimator.validation.scoring import Row, of_quantity, spread


def against_peers(
    rows: Sequence[Row], peers: Iterable[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return our mean |error| beside that of other simulators on the same rows.

    ``rows`` holds the runs one by one; a row that either does not predict counts for
    neither.
    """
    made = []
    for peer in peers:
        theirs = peer["predicted_s"]
        shared = [
            {
                "id": row.id,
                "measured": row.measured,
                "predicted": row.predicted,
                "error": row.error,
                "peer_predicted": theirs[row.id],
                "peer_error": theirs[row.id] / row.measured - 1,
            }
            for row in of_quantity(rows, "step_s")
            if row.id in theirs
        ]
        if shared:
            made.append(
                {
                    "family": peer["family"],
                    "num_runs": len(shared),
                    "mean_abs_error": _mean(shared, "error"),
                    "peer": peer["peer"],
                    "peer_mean_abs_error": _mean(shared, "peer_error"),
                    "source": peer["source"],
                    "rows": shared,
                }
            )
    return made


def _mean(shared: Sequence[Mapping[str, Any]], key: str) -> float:
    return spread([row[key] for row in shared])["mean_abs_error"]
