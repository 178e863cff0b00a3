"""The software of a record: its framework's release, and what the record turns on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from estimator.catalog import kinds, loading
from estimator.catalog.records.models import Record
from estimator.catalog.records.words import says
from estimator.catalog.releases import default_name
from estimator.ground.errors import InputError
from estimator.ground.registry import suggestion
from estimator.specs.hardware import Gpu
from estimator.specs.software import Software, date

ALSO: Mapping[str, str] = {
    "megatron": "megatron-core",
    "mcore": "megatron-core",
    "deepspeed": "deepspeed-zero3",
    "fsdp": "pytorch-fsdp2",
    "fsdp1": "pytorch-fsdp1",
    "fsdp2": "pytorch-fsdp2",
    "pytorch": "pytorch-fsdp2",
    "accelerate": "hf-accelerate",
    "transformers": "hf-accelerate",
    "mosaicml": "llm-foundry",
    "automodel": "nemo-automodel",
    "pax": "paxml",
}
"""Other names of frameworks -> theirs."""
UNTIL = {"fp16": 2022}
"""The last year in which large models were mostly trained in one: OPT and GLM-130B were
(arXiv 2205.01068, 2210.02414); BLOOM and LLaMA, and those after them, in BF16."""
_DATE = re.compile(r"(?:20)?\d\d[.-](?:0[1-9]|1[0-2])")


def software_of(
    record: Record, gpu: Gpu, recipe: str, notes: list[str]
) -> tuple[Software, bool]:
    """Return what a record was trained with, and whether that is a default.

    The newest release of its framework that is not newer than its version, the oldest
    where all are; without a framework that is known, the accelerator's default.

    Raises
    ------
    InputError
        If the record turns on what the release does not offer.
    """
    told = record.get("framework", {})
    name = _release(told)
    is_default = name is None
    if name is None:
        name = default_name(gpu.vendor, recipe, _year(told) or UNTIL.get(recipe))
    made: Software = loading.load("software", name)
    if is_default:
        which = (
            f"framework {told['name'][:60]!r} is unknown"
            if told
            else "no framework is printed"
        )
        notes.append(f"{which}: {made.title}, the default on {gpu.title}")
    given = record.get("software", {})
    switches: dict[str, Any] = {}
    for feature in given.get("with", ()):
        switches |= _offered(made, feature)
    if record["cluster"].get("cuda_graph") is True:
        switches["kernels.launch"] = "graph"
    switches |= given.get("switches", {})
    if says(record.get("precision"), "fp32 gradient accumulation"):
        switches["gradients.format"] = "bf16+fp32"
    return (made.having(switches) if switches else made), is_default


def _release(told: Mapping[str, Any]) -> str | None:
    """Return the file of a framework and version; None if there is none.

    >>> _release({"name": "NeMo", "version": "25.01"}), _release({"name": "mine"})
    ('nemo-24.09', None)
    >>> _release({"name": "megatron-lm", "version": 2019})
    'megatron-lm-2021-04'
    """
    name = re.sub(r"[\s_]+", "-", str(told.get("name", "")).lower())
    releases = _releases().get(ALSO.get(name, name))
    if not releases:
        return None
    version = _version(told)
    old = [each for day, each in releases if version is None or day <= version]
    return old[-1] if old else releases[0][1]


@cache
def _releases() -> Mapping[str, list[tuple[tuple[int, int], str]]]:
    """Return the plain releases of each framework with their dates, the oldest first.

    Of two files of a day the one with the shorter name is plain; the other one has
    features turned on.
    """
    found: dict[str, dict[tuple[int, int], str]] = {}
    for name in sorted(kinds.names("software"), key=len):
        made: Software = loading.load("software", name)
        found.setdefault(made.framework, {}).setdefault(made.date, name)
    return {name: sorted(days.items()) for name, days in found.items()}


def _version(told: Mapping[str, Any]) -> tuple[int, int] | None:
    text = str(told.get("version", ""))
    if re.fullmatch(r"20\d\d", text):
        return int(text), 12
    return date(text) if _DATE.fullmatch(text) else None


def _year(told: Mapping[str, Any]) -> int | None:
    version = _version(told)
    return version and version[0]


def _offered(release: Software, feature: str) -> Mapping[str, Any]:
    if feature not in release.offers:
        known: Iterable[str] = release.offers
        raise InputError(
            f"software.with: {release.title} has no {feature[:60]!r}",
            why=f"it offers: {', '.join(known) or 'nothing to turn on'}",
            fix=suggestion(feature, list(known)),
        )
    return release.offers[feature]
