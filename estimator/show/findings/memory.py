"""Peak memory of each pipeline rank, by part."""

from __future__ import annotations

from estimator.ground.words import BYTES, rung, size
from estimator.show.findings.base import Bars, Reported, Series, finding
from estimator.show.wording import how_it_fits, misfit


def memory(answer: Reported) -> Bars:
    """Show peak memory of each pipeline rank by part, under what the GPU has."""
    peak = answer.report.memory
    part, most = max(peak.parts.items(), key=lambda item: item[1])
    verb = how_it_fits(peak) if misfit(peak) else "needs most"
    unit = rung(peak.hbm_bytes, BYTES)
    return Bars(
        f"Rank {peak.rank} {verb}: {size(peak.peak_bytes)} of "
        f"{size(peak.hbm_bytes)}, {most / peak.peak_bytes:.0%} of it {part}",
        f"{unit.unit} at the peak",
        "pipeline rank",
        tuple(map(str, range(len(peak.ranks)))),
        tuple(
            Series(name, tuple(rank[name] / unit.one for rank in peak.ranks))
            for name in peak.parts
        ),
        limit=(f"{size(peak.hbm_bytes)} in a GPU", peak.hbm_bytes / unit.one),
    )


finding("memory")(memory)
