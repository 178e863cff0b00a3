"""Errors of published runs by what they ran on and how."""

from __future__ import annotations

from collections.abc import Mapping

from estimator.show.findings.base import Bars, Series

FEW = 5
"""Runs below which a group is left out of the figure's own words."""


def errors(by: str, groups: Mapping[str, Mapping[str, float]]) -> Bars:
    """Show the median |error| of groups of runs, the largest group on top.

    Parameters
    ----------
    by : str
        What the groups are: ``GPU``, ``plan``.
    groups : mapping
        Group -> ``num_runs``, ``median_abs_error``, ``p90_abs_error`` and ``bias``.
    """
    names = sorted(groups, key=lambda name: (groups[name]["num_runs"], name))
    rows = [groups[name] for name in names]
    return Bars(
        _said(by, groups),
        "median |error|, %",
        "",
        tuple(names),
        (
            Series(
                "median |error|",
                tuple(100 * row["median_abs_error"] for row in rows),
                tuple(_words(row) for row in rows),
            ),
        ),
        is_horizontal=True,
        note="behind each bar the bias, the 90th percentile and the number of runs",
    )


def _words(row: Mapping[str, float]) -> str:
    runs = f"{row['num_runs']:,.0f} run{'s' * (row['num_runs'] != 1)}"
    return f"{row['bias']:+.0%}, {row['p90_abs_error']:.0%}, {runs}"


def _said(by: str, groups: Mapping[str, Mapping[str, float]]) -> str:
    large = {name: row for name, row in groups.items() if row["num_runs"] >= FEW}
    medians = {name: row["median_abs_error"] for name, row in (large or groups).items()}
    if not medians:
        return f"There are no runs to show by {by}"
    low, high = (
        min(medians, key=medians.__getitem__),
        max(medians, key=medians.__getitem__),
    )
    if low == high:
        return f"By {by}: median |error| {medians[low]:.0%} ({low})"
    return (
        f"By {by}: median |error| from {medians[low]:.0%} ({low}) to "
        f"{medians[high]:.0%} ({high})"
    )
