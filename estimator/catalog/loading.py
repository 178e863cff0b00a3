"""Specs by their names: a built-in one or a file, its variants and overrides."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from estimator.catalog.building import build
from estimator.catalog.kinds import DEFAULTS
from estimator.catalog.patches import Patch, layered, parsed, patched
from estimator.catalog.reading import inlined, on_base, read
from estimator.ground.documents import Asked, Map, marked
from estimator.ground.errors import InputError
from estimator.ground.registry import suggestion
from estimator.ground.units import shown
from estimator.specs.scenario import Scenario

Named = str | os.PathLike[str] | Mapping[str, Any]
"""A built-in name, a variant, a file, or what a file would hold."""
MAPPING = "the mapping"
"""Place of what a program hands over."""


def load(kind: str, name: str) -> Any:
    """Return the spec of a built-in name or a file.

    Raises
    ------
    InputError
        Listing every mistake with file and line.
    """
    if kind == "scenario":
        return load_scenario(name)
    return build(kind, inlined(kind, read(kind, name)), name)


def load_scenario(name: Named | Scenario, overrides: Asked = ()) -> Scenario:
    """Return the resolved scenario of ``NAME[@VARIANT[+VARIANT...]]`` or a file.

    Parameters
    ----------
    name : str, path, mapping or Scenario
        A built-in name or a path, then the variants to apply from left to right; or
        what a file would hold. A resolved scenario is returned as it is.
    overrides : str, iterable of str or mapping
        ``PATH=VALUE`` patches, or values by path, applied last.
    """
    if isinstance(name, Scenario):
        if overrides:
            raise InputError("a resolved scenario takes no overrides", fix="its name")
        return name
    document = scenario_document(name, overrides)
    made: Scenario = build("scenario", document, label(name))
    return made


def label(scenario: Named) -> str:
    """Return what a message calls a scenario that was asked for.

    Raises
    ------
    InputError
        If it is nothing that a scenario can be asked for by.
    """
    if isinstance(scenario, str | os.PathLike):
        return os.fspath(scenario)
    if isinstance(scenario, Mapping):
        return str(scenario.get("name", MAPPING))
    kind = type(scenario).__name__
    raise InputError(
        f"a scenario is a name, a file or a mapping here, not a {kind}",
        fix="'deepseek-v3'",
    )


def scenario_document(name: Named, overrides: Asked = ()) -> Map:
    """Return the inlined mapping of a scenario, variants and overrides applied."""
    return patched(unpatched(name), parsed(overrides))


def unpatched(name: Named) -> Map:
    """Return the inlined mapping of a scenario, variants applied."""
    stem, at, variants = label(name).partition("@")
    if isinstance(name, Mapping):
        at, document = "", on_base("scenario", marked(name, MAPPING), MAPPING, ())
    else:
        document = read("scenario", stem)
    for key, default in DEFAULTS.items():
        if key not in document:
            document.put(key, default, document.place)
    if not at:
        return inlined("scenario", document)
    known = [
        patch
        for variant in variants.split("+")
        for patch in _variant(document, variant, label(name))
    ]
    made = layered(document, known, is_merged=True)
    made.put("name", f"{document.get('name', stem)}@{variants}", document.place)
    return made


def _variant(document: Map, variant: str, name: str) -> list[Patch]:
    variants = document.get("variants")
    known = sorted(variants) if isinstance(variants, Map) else []
    if not isinstance(variants, Map) or variant not in variants:
        raise InputError(
            f"{name.partition('@')[0]!r} has no variant {shown(variant)}",
            why=f"known: {', '.join(known) or 'none'}",
            fix=suggestion(variant, known),
        )
    patch = variants[variant]
    if not isinstance(patch, Map):
        raise InputError(
            f"the variant {variant!r} is a mapping of dotted paths to values",
            where=[variants.places[variant]],
        )
    return [
        Patch(tuple(path.split(".")), value, patch.places[path])
        for path, value in patch.items()
    ]
