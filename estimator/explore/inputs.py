"""What differs between two scenarios, as inputs that a person changed."""

from __future__ import annotations

from estimator.catalog import kinds
from estimator.catalog.derivation import NO_SWITCH
from estimator.catalog.releases import BY_DEFAULT, PLAN, SOFTWARE
from estimator.explore import attribution
from estimator.ground.documents import Map

Path = tuple[str, ...]

SAID = frozenset({"source", "sources", "changed"})
"""Parts of a file that say where its numbers come from, and are none."""


def inputs(before: Map, after: Map) -> list[list[Path]]:
    """Return the paths that differ, grouped by the named file that they belong to.

    Two releases of software are one input, with what a plan takes from them; of one
    and the same, each switch is; how one is known is none.
    """
    references = sorted(
        (
            tuple(path.split("."))
            for path in kinds.KINDS["scenario"].references
            if path != "cluster.node.gpu"
        ),
        key=len,
        reverse=True,
    )
    is_same = _release(before) == _release(after)
    groups: dict[Path, list[Path]] = {}
    for path in attribution.changed(before, after):
        owner = next((ref for ref in references if path[: len(ref)] == ref), path)
        if is_same and path[0] == SOFTWARE:
            owner = _switch(path)
        elif not is_same and _is_followed(path, after):
            owner = (SOFTWARE,)
        groups.setdefault(owner, []).append(path)
    return [
        group
        for owner, group in groups.items()
        if owner[0] != SOFTWARE or any(path[1] != "sources" for path in group)
    ]


def label(group: list[Path], before: Map, after: Map) -> str:
    """Return an input as ``path: old -> new``, where both have short words."""
    told = [path for path in group if not SAID & set(path)] or group
    told = [path for path in told if path[0] == SOFTWARE] or told
    if len(told) == 1:
        return attribution.label(told[0], before, after)
    shared = told[0]
    for path in told[1:]:
        size = 0
        while size < min(len(path), len(shared)) and path[size] == shared[size]:
            size += 1
        shared = shared[:size]
    return attribution.label(shared, before, after)


def _release(document: Map) -> object:
    software = document.get(SOFTWARE)
    return software.get("name") if isinstance(software, Map) else software


def _switch(path: Path) -> Path:
    """Return the switch of a path of software: a source belongs to what it is of."""
    if len(path) > 2 and path[1] == "sources":
        path = (SOFTWARE, *path[2].split("."))
    return path[:1] if path[1] in NO_SWITCH else path


def _is_followed(path: Path, after: Map) -> bool:
    """Whether a plan has here what its software does."""
    is_of_plan = path[0] == "plan" and path[-1] in PLAN
    return is_of_plan and after["plan"].places.get(path[-1]) == BY_DEFAULT
