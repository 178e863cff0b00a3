"""Values for dotted paths: variants, ``--set`` and ``--vary``, laid over a document."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from estimator.catalog.derivation import disown, own_switches
from estimator.catalog.features import WITH
from estimator.catalog.kinds import DEFAULTS, KINDS
from estimator.catalog.moved import patches as of_today
from estimator.catalog.reading import referent, settled
from estimator.catalog.releases import SOFTWARE, turned_on
from estimator.ground.documents import (
    Asked,
    Map,
    Seq,
    as_texts,
    copied,
    over,
    parse_override,
)
from estimator.ground.errors import InputError
from estimator.ground.units import shown

SHORTHANDS = {"precision": "recipe"}
"""A text at this path stands for a mapping with this key."""


class Patch(NamedTuple):
    """A value for a dotted path, and where it was written."""

    path: tuple[str, ...]
    value: Any
    place: str


def parsed(overrides: Asked, origin: str = "--set") -> list[Patch]:
    """Return what ``PATH=VALUE`` texts, or values by path, ask for."""
    texts = as_texts(overrides, origin)
    return [
        Patch(*each)
        for text in texts
        for each in of_today(*parse_override(text, origin), origin)
    ]


def patched(
    document: Map, patches: Sequence[Patch], also: Iterable[Sequence[str]] = ()
) -> Map:
    """Return an inlined scenario with a person's patches, all of them one layer.

    Parameters
    ----------
    also : iterable of sequence of str
        Further paths that the person writes, which are set elsewhere.
    """
    made = layered(document, patches, also)
    for patch in patches:
        disown(made, patch.path)
    return made


def layered(
    document: Map,
    patches: Sequence[Patch],
    also: Iterable[Sequence[str]] = (),
    *,
    is_merged: bool = False,
) -> Map:
    """Return an inlined scenario under one layer, without what that contradicts."""
    made = document.copy()
    for path, value, place in patches:
        apply("scenario", made, path, value, place, is_merged=is_merged)
        if path[0] == SOFTWARE and len(path) > 1:
            own_switches(made[SOFTWARE], tuple(path[1:]))
    return settled(document, made, [*(patch.path for patch in patches), *also])


def apply(
    kind: str,
    document: Map,
    path: Sequence[str],
    value: Any,
    place: str,
    *,
    is_merged: bool = False,
) -> None:
    """Set ``value`` at a dotted path, reaching through names of other files.

    Parameters
    ----------
    is_merged : bool
        Lay a mapping over the one that is there, as over a base.

    Raises
    ------
    InputError
        If the path runs through a value that has no parts.
    """
    if tuple(path) == (SOFTWARE, "base"):
        raise InputError(
            f"{SOFTWARE}.base stands in files only",
            where=[place],
            why="a release takes the place of another as a whole",
            fix=f"{SOFTWARE}={str(value)[:60]}",
        )
    references = KINDS[kind].references
    holder: Any = document
    for depth, key in enumerate(path[:-1]):
        here = ".".join(path[: depth + 1])
        holder = _step_into(holder, key, here, references.get(here), place)
    last = path[-1]
    if isinstance(holder, Seq):
        index = _index(holder, last, ".".join(path), place)
        old, holder.places[index] = holder[index], place
        holder[index] = over(old, value) if is_merged else copied(value)
    else:
        made = over(holder.get(last), value) if is_merged else copied(value)
        holder.put(last, made, place)
        if tuple(path) == (SOFTWARE, WITH):
            document.put(SOFTWARE, turned_on(holder), place)


def _step_into(
    holder: Any, key: str, here: str, referred: str | None, place: str
) -> Any:
    if isinstance(holder, Seq):
        child = holder[_index(holder, key, here, place)]
    else:
        if key not in holder:
            holder.put(key, DEFAULTS.get(key) or Map(place), place)
        child = holder[key]
        if referred:
            child = referent(referred, child, holder.places[key])
            holder.put(key, child, holder.places[key])
        if isinstance(child, str) and here in SHORTHANDS:
            expanded = Map(holder.places[key])
            expanded.put(SHORTHANDS[here], child, holder.places[key])
            holder.put(key, expanded, holder.places[key])
            child = expanded
    if not isinstance(child, Map | Seq):
        raise InputError(f"{here!r} has no parts", where=[place])
    return child


def _index(holder: Seq, key: str, here: str, place: str) -> int:
    if key.isdecimal() and len(key) < 9 and int(key) < len(holder):
        return int(key)
    raise InputError(
        f"{here!r}: write a number from 0 to {len(holder) - 1}, not {shown(key)}",
        where=[place],
    )
