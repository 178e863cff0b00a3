"""The kinds of input files: the folder, the spec and the other files of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from estimator.specs.economics import Power, Price, Programme
from estimator.specs.hardware import Fabric, Gpu, Node
from estimator.specs.model import Transformer
from estimator.specs.scenario import Scenario
from estimator.specs.software import Software


@dataclass(frozen=True)
class Kind:
    """One kind of input file: its folder, its spec, and the kinds that it names."""

    folder: str
    spec: type[Any]
    references: Mapping[str, str]
    """Dotted path -> kind of the file that a name at this path stands for."""


KINDS: Mapping[str, Kind] = {
    "gpu": Kind("hardware/gpu", Gpu, {}),
    "node": Kind("hardware/node", Node, {"gpu": "gpu"}),
    "fabric": Kind("hardware/fabric", Fabric, {}),
    "price": Kind("hardware/price", Price, {}),
    "power": Kind("hardware/power", Power, {}),
    "programme": Kind("hardware/programme", Programme, {}),
    "model": Kind("models", Transformer, {}),
    "software": Kind("software", Software, {}),
    "scenario": Kind(
        "scenarios",
        Scenario,
        {
            "model": "model",
            "cluster.node": "node",
            "cluster.node.gpu": "gpu",
            "cluster.fabric": "fabric",
            "software": "software",
            "published_on.cluster.node": "node",
            "published_on.cluster.node.gpu": "gpu",
            "published_on.cluster.fabric": "fabric",
            "published_on.software": "software",
            "price": "price",
            "power": "power",
            "programme": "programme",
        },
    ),
}
DEFAULTS = {"power": "world-average"}
"""What a scenario names where it does not say."""


@cache
def data_folder() -> Path:
    """Return the folder that holds ``hardware/``, ``models/``, ``software/``, ...."""
    package = Path(__file__).parents[1]
    packed = package / "_data"  # in a wheel; there the folder above is everybody's
    return packed if packed.is_dir() else package.parent


def folder(kind: str) -> Path:
    """Return the folder of the built-in files of a kind."""
    return data_folder() / KINDS[kind].folder


def names(kind: str) -> list[str]:
    """Return the names of the built-in files of a kind."""
    return sorted(path.stem for path in folder(kind).glob("*.yaml"))
