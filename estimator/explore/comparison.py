"""Scenarios side by side, and the difference to the first attributed to its inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import TYPE_CHECKING

from estimator.answer import api
from estimator.answer.report import Report
from estimator.answer.walk import Walk
from estimator.catalog import building, loading, moved
from estimator.catalog.nearest import nearest
from estimator.catalog.patches import parsed, patched
from estimator.explore import attribution
from estimator.explore.axes import split
from estimator.explore.inputs import inputs, label
from estimator.ground.attempts import Failed, attempted
from estimator.ground.documents import VARY, Asked, Map, as_texts, parse_override
from estimator.ground.errors import InfeasibleError, InputError
from estimator.ground.units import BareNumber, Unit
from estimator.ground.words import quantity
from estimator.specs.base import ConstantOf
from estimator.specs.hints import metadata
from estimator.specs.paths import hint_at
from estimator.specs.scenario import Scenario

if TYPE_CHECKING:
    import pandas as pd

MAX_COLUMNS = 64
CHANGES = {
    "cost_change": "cost_usd",
    "gpu_hours_change": "gpu_hours",
    "wall_change": "wall_s",
    "step_change": "step_s",
}
"""What is told against the first: its name, and the number of a report's row."""


@dataclass(frozen=True)
class Share:
    """What one changed input adds to GPU-hours and dollars."""

    scenario: str
    input: str
    gpu_hours: float
    cost_usd: float


@dataclass(frozen=True)
class Comparison:
    """Reports of all scenarios that have one; the first is the baseline."""

    scenarios: tuple[Scenario, ...]
    reports: tuple[Report, ...]
    shares: tuple[Share, ...]
    groups: tuple[str, ...]
    """The name that each was asked for by, what is varied apart."""
    labels: tuple[str, ...]
    """What is varied, in words; empty where nothing is."""
    is_sequential: bool = False
    """Whether inputs were changed in one order, not in all."""
    axis: str = ""
    """The last part of the one path that is varied; labels are its values alone."""
    adjusted: tuple[str, ...] = ()
    """What was changed in each for the nearest that runs; empty where nothing was."""
    failed: tuple[Failed, ...] = ()
    """Scenarios that cannot be estimated, and why; they have no other entry here."""

    @property
    def said(self) -> tuple[str, ...]:
        """What was changed, a sentence for each that is not what was asked for."""
        told = zip(self.reports, self.adjusted, strict=False)
        return tuple(
            f"{report.scenario} is the nearest that runs: {note}."
            for report, note in told
            if note
        )

    @property
    def baselines(self) -> tuple[int, ...]:
        """The column that each is told against.

        The first; where something is varied, the first of the same scenario.
        """
        if not any(self.labels):
            return (0,) * len(self.reports)
        return tuple(map(self.groups.index, self.groups))

    @property
    def changes(self) -> tuple[dict[str, float | None], ...]:
        """Each column over its baseline, less 1; None over nothing."""
        rows = [report.row() for report in self.reports]
        return tuple(
            {
                name: row[key] / rows[place][key] - 1 if rows[place][key] else None
                for name, key in CHANGES.items()
            }
            for row, place in zip(rows, self.baselines, strict=True)
        )

    def frame(self) -> pd.DataFrame:
        """Return the scenarios as a pandas frame, one row each."""
        import pandas as pd

        return pd.DataFrame([report.row() for report in self.reports])

    def attribution(self) -> pd.DataFrame:
        """Return what each changed input adds as a pandas frame, one row each."""
        import pandas as pd

        return pd.DataFrame(map(asdict, self.shares))


def compare(
    names: Sequence[loading.Named],
    vary: Asked = (),
    overrides: Asked = (),
    *,
    is_sequential: bool = False,
) -> Comparison:
    """Return the scenarios side by side.

    Parameters
    ----------
    names : sequence of str, path or mapping
        Built-in names, variants, files, or what files would hold.
    vary : str, sequence of str or mapping
        ``PATH=V1,V2,...``; each scenario is repeated for every combination.
    overrides : str, sequence of str or mapping
        ``PATH=VALUE`` applied to all.
    is_sequential : bool
        Attribute by changing one input after the other, in the order of the file,
        instead of by Shapley values.

    Raises
    ------
    InputError
        If there is nothing to compare, or too much.
    EstimatorError
        If none of the scenarios can be estimated.
    """
    if isinstance(names, str | Mapping):
        names = [names]
    vary = [_of_today(text) for text in as_texts(vary, VARY)]
    columns = _columns(names, vary)
    if not 2 <= len(columns) <= MAX_COLUMNS:
        raise InputError(
            f"compare takes 2 to {MAX_COLUMNS} scenarios, not {len(columns)}",
            fix="another one, or to vary plan.schedule=dualpipe,1f1b",
        )
    documents, labels, adjusted = [], [], []
    axis = vary[0].partition("=")[0] if len(vary) == 1 else ""
    is_alone = len(names) == 1
    runs = [
        not vary or _runs_itself(name, overrides, is_alone=is_alone) for name in names
    ]
    each = len(columns) // len(names)
    for place, (name, patches) in enumerate(columns):
        asked = [*parsed(overrides), *parsed(patches, VARY)]
        document = patched(loading.unpatched(name), asked)
        words = ""
        if patches:
            words = " ".join(_in_words(patch, document) for patch in patches)
            title = f"{loading.label(name)} {words}" if len(names) > 1 else words
            document.put("name", title, document.place)
        note = ""
        if runs[place // each]:
            document, note = _nearest(document, patches)
        adjusted.append(note)
        documents.append(document)
        labels.append(words.partition("=")[2] if axis else words)
    groups = tuple(loading.label(name) for name, _ in columns)
    made = of_documents(documents, is_sequential=is_sequential)
    lost = {each.place for each in made.failed}
    kept = [place for place in range(len(columns)) if place not in lost]
    return replace(
        made,
        groups=tuple(groups[place] for place in kept),
        labels=tuple(labels[place] for place in kept),
        axis=axis.rpartition(".")[2],
        adjusted=tuple(adjusted[place] for place in kept),
    )


def of_documents(
    documents: Sequence[Map], *, is_sequential: bool = False
) -> Comparison:
    """Return the scenarios that resolved documents describe side by side.

    Raises
    ------
    EstimatorError
        If none of them can be estimated.
    """

    def column(place: int) -> tuple[Map, Scenario, Report]:
        scenario = _scenario(documents[place])
        return documents[place], scenario, api.estimate(scenario)

    asked = [str(document.get("name", "scenario")) for document in documents]
    made, failed = attempted(asked, column)
    (first, _, before), *others = made
    shares_of = attribution.sequential if is_sequential else attribution.shapley
    shares = tuple(
        share
        for document, _, report in others
        for share in _shares(first, document, before, report, shares_of)
    )
    _, scenarios, reports = zip(*made, strict=True)
    names = tuple(report.scenario for report in reports)
    nothing = ("",) * len(names)
    return Comparison(
        scenarios,
        reports,
        shares,
        names,
        nothing,
        failed=failed,
        is_sequential=is_sequential,
    )


def _of_today(axis: str) -> str:
    """Return an axis at the path where its field stands now."""
    path, equals, values = axis.partition("=")
    return f"{moved.today(path.strip(), VARY)}{equals}{values}"


def num_inputs(before: Map, after: Map) -> int:
    """Return how many inputs differ between two resolved documents."""
    return len(inputs(before, after))


def _runs_itself(name: loading.Named, overrides: Asked, *, is_alone: bool) -> bool:
    """Whether a scenario runs as a person wrote it; else no range mends it.

    Raises
    ------
    InputError
        If it does not, and nothing else is asked for.
    """
    document = loading.scenario_document(name, overrides)
    try:
        building.build("scenario", document, loading.label(name))
    except InputError:
        if is_alone:
            raise
        return False
    return True


def _nearest(document: Map, patches: Sequence[str]) -> tuple[Map, str]:
    """Return the nearest scenario that runs to one of a range, and what changed.

    One that nothing is varied in is its own. Of what only does not fit together, a
    column tells.

    Raises
    ------
    InputError
        If a name or a value is wrong.
    """
    varied = [patch.partition("=")[0] for patch in patches]
    try:
        if not varied:
            _scenario(document)
            return document, ""
        found = nearest(document, str(document.get("name", "scenario")), varied)
    except building.UnfitError:
        return document, ""
    return found.document, found.adjusted


def _in_words(patch: str, document: Map) -> str:
    """Return a patch as the last part of its path and its value with a unit.

    >>> _in_words("cluster.node.nvlink_bytes_per_s=450e9", Map())
    'nvlink_bytes_per_s=450 GB/s'
    """
    path, _, text = patch.partition("=")
    keys, value = parse_override(patch, "--vary")
    if isinstance(value, BareNumber):
        for item in metadata(hint_at(path, document)):
            if isinstance(item, Unit | ConstantOf):
                text = quantity(float(value), item.si)
    return f"{keys[-1]}={text}"


def _columns(
    names: Sequence[loading.Named], vary: Sequence[str]
) -> list[tuple[loading.Named, tuple[str, ...]]]:
    axes = []
    for text in vary:
        path, equals, values = text.partition("=")
        if not equals or not values:
            raise InputError(
                f"--vary {text!r} is not PATH=V1,V2,...",
                fix="--vary cluster.fabric=ib-ndr-rail-optimised,ib-hdr-rail-optimised",
            )
        axes.append([f"{path}={value}" for value in split(values)])
    return [(name, patches) for name in names for patches in product(*axes)]


def _scenario(document: Map) -> Scenario:
    made: Scenario = building.build(
        "scenario", document, str(document.get("name", "scenario"))
    )
    return made


def _shares(
    before: Map,
    after: Map,
    first: Report,
    other: Report,
    shares_of: attribution.Attribution,
) -> list[Share]:
    """Return the attribution of one column against the baseline."""
    paths = inputs(before, after)
    known = {
        frozenset[int](): (first.gpu_hours, first.cost_usd),
        frozenset(range(len(paths))): (other.gpu_hours, other.cost_usd),
    }

    def value(subset: frozenset[int]) -> tuple[float, float]:
        if subset not in known:
            document = attribution.patched(
                before, after, [path for index in subset for path in paths[index]]
            )
            step = building.build("scenario", document, "", is_hypothetical=True)
            made = Walk(step).answer()
            known[subset] = (made.gpu_hours, made.cost_usd)
        return known[subset]

    try:
        hours = shares_of(len(paths), lambda subset: value(subset)[0])
        dollars = shares_of(len(paths), lambda subset: value(subset)[1])
    except (InfeasibleError, InputError):
        # Some inputs only work together: they are one cause.
        together = "; ".join(label(group, before, after) for group in paths)
        return [
            Share(
                other.scenario,
                together,
                other.gpu_hours - first.gpu_hours,
                other.cost_usd - first.cost_usd,
            )
        ]
    return [
        Share(other.scenario, label(group, before, after), hour, dollar)
        for group, hour, dollar in zip(paths, hours, dollars, strict=True)
    ]
