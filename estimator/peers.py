"""Our errors beside those of other simulators, on the rows that they publish."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from estimator.scoring import Row, of_quantity, spread


def against_peers(
    rows: Sequence[Row], peers: Iterable[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return our mean |error| beside that of other simulators on the same rows.

    ``rows`` holds the runs one by one, for those that the other's prediction is known.
    """
    made = []
    for peer in peers:
        own = [
            row
            for row in of_quantity(rows, "step_s")
            if row.family == peer["family"] and peer.get("table", "") in row.where
        ]
        theirs = peer.get("predicted_s", {})
        if own:
            made.append(
                {
                    "family": peer["family"],
                    "num_runs": len(own),
                    "mean_abs_error": spread([row.error for row in own])[
                        "mean_abs_error"
                    ],
                    "peer": peer["peer"],
                    "peer_mean_abs_error": peer["mean_abs_error"],
                    "source": peer["source"],
                    "rows": [
                        {
                            "id": row.id,
                            "measured": row.measured,
                            "predicted": row.predicted,
                            "error": row.error,
                            "peer_predicted": theirs[row.id],
                            "peer_error": theirs[row.id] / row.measured - 1,
                        }
                        for row in own
                        if row.id in theirs
                    ],
                }
            )
    return made
