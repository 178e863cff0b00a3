"""What a file says of its software: a release's name, features, and what differs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from estimator.catalog import building, kinds, reading
from estimator.catalog.derivation import ASKED
from estimator.catalog.features import WITH
from estimator.ground.documents import marked
from estimator.specs.software import NAMING, Software, switch_paths

SOFTWARE, SOURCES = "software", "sources"


def stated(own: Mapping[str, Any]) -> Any:
    """Return what a file says of a software that is given in full.

    One that a person wrote lies over the built-in release that it lay over, which is of
    the same framework and date; without any it stays as it is.
    """
    name = _base(own)
    if not name:
        return own
    release = _release({"base": name})
    features = list(_turned_on(own, release))
    made: dict[str, Any] = {WITH: features} if features else {}
    below = _release({"base": name, **made})
    sources = {
        path: said for path, said in own[SOURCES].items() if said != below.sources[path]
    }
    for path in switch_paths():
        if path in sources or _at(own, path) != _plain(_at(below, path)):
            _put(made, path, _at(own, path))
    made |= {
        key: own[key]
        for key in sorted(NAMING - {SOURCES, "offers"})
        if own[key] != getattr(below, key)
    }
    told = {path: said for path, said in sources.items() if said != ASKED}
    made |= {SOURCES: told} if told else {}
    return {"base": name, **made} if made else name


def _base(own: Mapping[str, Any]) -> str:
    """Return the built-in release of a software, or that of its framework and date."""
    known = kinds.names(SOFTWARE)
    if own["name"] in known:
        return str(own["name"])
    what = ("framework", "release")
    return next(
        (
            name
            for name in known
            if all(reading.read(SOFTWARE, name)[key] == own[key] for key in what)
        ),
        "",
    )


def _release(document: Mapping[str, Any]) -> Software:
    full = reading.referent(SOFTWARE, marked(document, ""), "")
    made: Software = building.build(SOFTWARE, full, str(document["base"]))
    return made


def _turned_on(own: Mapping[str, Any], release: Software) -> Iterator[str]:
    """Yield the features whose switches, and their sources, a software has."""
    for feature, patch in release.offers.items():
        said = release.sources[f"offers.{feature}"]
        is_on = all(
            _at(own, path) == _plain(value) and own[SOURCES].get(path) == said
            for path, value in patch.items()
        )
        if is_on and any(
            _at(release, path) != value or release.sources[path] != said
            for path, value in patch.items()
        ):
            yield feature


def _at(software: Any, path: str) -> Any:
    """Return what a software, or what is said of it, has at a switch."""
    for key in path.split("."):
        is_said = isinstance(software, Mapping)
        software = software.get(key) if is_said else getattr(software, key)
    return software


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _put(made: dict[str, Any], path: str, value: object) -> None:
    *groups, key = path.split(".")
    for group in groups:
        made = made.setdefault(group, {})
    made[key] = value
