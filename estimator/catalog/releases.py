"""Which software a scenario runs on: the one it names, or its accelerator's default.

A scenario's ``software`` is a name, a mapping with a ``base``, or switches alone, which
lie over what the scenario below has, or over the default.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from estimator.catalog.derivation import leaves, say
from estimator.catalog.features import WITH, release_over
from estimator.ground.documents import Map, Seq, copied

Path = tuple[str, ...]
Read = Callable[[str], Map]
"""Returns the release of a name, on its bases."""

SOFTWARE = "software"
BY_DEFAULT = "the accelerator's default software"
"""Place of a release that nobody asked for."""
ASKED = "asked: the scenario sets it"
"""Source of a switch that a scenario writes over a release."""


def default_name(setting: Map) -> str:
    """Return the release that a setting runs where it names none."""
    del setting
    return "neutral"


def completed(document: Map, read: Read) -> None:
    """Give a scenario's document its release in full, in place."""
    software = document.get(SOFTWARE)
    if software is None:
        document.put(SOFTWARE, read(default_name(document)), BY_DEFAULT)
    elif isinstance(software, Map) and "framework" not in software:
        place = document.places[SOFTWARE]
        below = read(default_name(document))
        document.put(SOFTWARE, switched(below, software), place)


def switched(release: Map, patch: Map) -> Map:
    """Return a release under a scenario's switches, which say so in its sources."""
    made = release_over(release, patch)
    own = patch.get("sources")
    told = own if isinstance(own, Map) else Map()
    for path in leaves(patch):
        name = ".".join(path)
        if path[0] in _GROUPS and name not in told and len(path) > 1:
            made["sources"].put(name, ASKED, patch.place)
    return made


_GROUPS = ("kernels", "experts", "communication", "gradients", "storage", "defaults")


def turned_on(software: Map) -> Map:
    """Return a release with the features that stand in it as ``with`` turned on."""
    patch = Map(software.place)
    below = software.copy()
    patch.put(WITH, below.pop(WITH), software.places[WITH])
    return release_over(below, patch)


def give_way(before: Map, after: Map, written: Iterable[Path], read: Read) -> None:
    """Take the accelerator's default where a layer's accelerator lacks the software.

    Nothing gives way that the layer asks for by name. What it sets of the software is
    set of the other one.
    """
    written = list(written)
    if (SOFTWARE,) in written or not isinstance(after.get(SOFTWARE), Map):
        return
    old = after[SOFTWARE]
    is_default = after.places[SOFTWARE] == BY_DEFAULT
    if not is_default and (runs_on(old, after) or not runs_on(old, before)):
        return
    name = default_name(after)
    if name == old.get("name"):
        return
    made = read(name)
    for path in written:
        if path[0] == SOFTWARE and len(path) > 1:
            _set(made, path[1:], old, after.places[SOFTWARE])
    after.put(SOFTWARE, made, BY_DEFAULT if is_default else after.places[SOFTWARE])
    if not is_default:
        text = (
            f"{old.get('title')} does not run on {_gpu(after).get('title')}: "
            f"{made['title']} instead."
        )
        say(after, text, about=("software", "cluster"))


def runs_on(software: Map, setting: Map) -> bool:
    """Whether a release is said to run on a setting's accelerator, or it is unknown."""
    vendors = software.get("accelerators")
    vendor = str(_gpu(setting).get("vendor", "")).lower()
    return not isinstance(vendors, Seq) or not vendor or vendor in vendors


def _gpu(setting: Map) -> Map:
    found: Any = setting
    for key in ("cluster", "node", "gpu"):
        found = found.get(key) if isinstance(found, Map) else None
    return found if isinstance(found, Map) else Map()


def _set(made: Map, path: Path, old: Map, place: str) -> None:
    """Copy a switch from one release to another."""
    source: Any = old
    holder: Any = made
    for key in path[:-1]:
        source = source.get(key) if isinstance(source, Map) else None
        holder = holder.get(key) if isinstance(holder, Map) else None
    if isinstance(source, Map) and isinstance(holder, Map) and path[-1] in source:
        holder.put(path[-1], copied(source[path[-1]]), place)
