"""Which techniques a row of a cumulative ablation has: its own and those before it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from estimator.catalog.records.models import Record

STEPS: Mapping[str, tuple[str, ...]] = {
    "megascale": (
        "parallel block",
        "sliding window",
        "tp overlap",
        "pp overlap",
        "dp overlap",
        "efficient ops",
        "misc",
        "lamb batch",
    ),
}
"""Source -> techniques in the order in which its ablation adds them (MegaScale, table
3). ``efficient ops`` are FlashAttention-2 and fused norms (section 3.3)."""
_STEP = re.compile(r"\+(.+) \(cumulative\)")


def techniques(record: Record, source: str) -> frozenset[str] | None:
    """Return what a row has; None where its source has no ablation.

    A row named after the source has all of them, one of the baseline none.

    >>> row = {"id": "megascale-ablation-x", "notes": "+sliding window (cumulative)"}
    >>> sorted(techniques(row, "megascale"))
    ['parallel block', 'sliding window']
    """
    if source not in STEPS:
        return None
    steps = STEPS[source]
    found = _STEP.fullmatch(str(record.get("notes") or "").lower())
    for number, step in enumerate(steps, 1):
        if found and found[1].startswith(step):
            return frozenset(steps[:number])
    is_own = f"-{source}-" in str(record["id"])
    return frozenset(steps if is_own else ())
