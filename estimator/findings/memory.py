"""Peak memory of each pipeline rank, by part."""

from __future__ import annotations

from estimator.findings.base import Bars, Reported, Series, finding
from estimator.wording import how_it_fits, misfit

GB = 1e9


def memory(answer: Reported) -> Bars:
    """Show peak memory of each pipeline rank by part, under what the GPU has."""
    peak = answer.report.memory
    part, size = max(peak.parts.items(), key=lambda item: item[1])
    verb = how_it_fits(peak) if misfit(peak) else "needs most"
    return Bars(
        f"Rank {peak.rank} {verb}: {peak.peak_bytes / GB:.1f} of "
        f"{peak.hbm_bytes / GB:.1f} GB, {size / peak.peak_bytes:.0%} of it {part}",
        "GB at the peak",
        "pipeline rank",
        tuple(map(str, range(len(peak.ranks)))),
        tuple(
            Series(name, tuple(rank[name] / GB for rank in peak.ranks))
            for name in peak.parts
        ),
        limit=(f"{peak.hbm_bytes / GB:.1f} GB in a GPU", peak.hbm_bytes / GB),
    )


finding("memory")(memory)
