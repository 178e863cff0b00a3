"""How published runs count FLOP, reproduced from their models' dimensions.

A source that prints TFLOP/s and tokens/s tells its FLOP per token; a ratio of 1.00 to
ours proves dimensions, transcription and convention at once. The records lie beside
the repository and may be absent.
"""

import re
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from estimator.catalog.records.models import transformer
from estimator.costs.flop import flop_per_token, mtp_flop_per_token

RUNS = Path(__file__).parent / "data" / "published_runs.yaml"


class Convention(NamedTuple):
    is_causal: bool
    at_least: int
    """Rows of the family that print both figures and follow this convention."""
    counts_mtp: bool = True
    forward_passes: float = 1.0
    """HFU counts the forward pass twice: 4 parts for 3."""


FAMILIES = {
    "dsv3": Convention(is_causal=False, at_least=2, counts_mtp=False),
    "mcoremoe": Convention(is_causal=True, at_least=4),
    "mbridge": Convention(is_causal=True, at_least=6),
    "moezoo": Convention(is_causal=True, at_least=5),
    "dgxc": Convention(is_causal=True, at_least=5),
    "nemo24.07": Convention(is_causal=False, at_least=4),
    "llmfoundry": Convention(is_causal=False, at_least=7),
    "bigscience": Convention(is_causal=False, at_least=4, forward_passes=4 / 3),
}


@pytest.fixture(scope="module")
def records():
    with RUNS.open(encoding="utf-8") as file:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        return yaml.load(file, Loader=loader)  # noqa: S506 - a safe loader


def family(record):
    return re.split("[-_]", record["id"])[0]


def counted(record, *, is_causal, counts_mtp=True):
    model, seq_len = transformer(record), record["batch"]["seq_len"]
    flop = flop_per_token(model, seq_len, is_causal=is_causal)
    if counts_mtp:
        flop += mtp_flop_per_token(model, seq_len, is_causal=is_causal)
    return flop


def reproduced(records, name):
    """Return the rows of a family whose source counts as we do, within 1 %."""
    way, rows = FAMILIES[name], []
    for record in records:
        derived = record.get("derived") or {}
        if family(record) != name or "source_gflop_per_token" not in derived:
            continue
        ours = counted(record, is_causal=way.is_causal, counts_mtp=way.counts_mtp)
        printed = derived["source_gflop_per_token"] * 1e9 / way.forward_passes
        if printed == pytest.approx(ours, rel=0.01):
            rows.append(record["id"])
    return rows


def test_a_source_s_flop_per_token_is_ours_in_its_convention(records):
    found = {name: len(reproduced(records, name)) for name in FAMILIES}
    assert {n: found[n] for n, way in FAMILIES.items() if found[n] < way.at_least} == {}


@pytest.mark.slow
def test_every_record_s_derived_flop_is_ours_within_half_a_per_cent(records):
    # `derived` counts MTP modules and routers: model FLOP here leaves both out
    num_rows, families = 0, set()
    for record in records:
        derived = record.get("derived") or {}
        for key, is_causal in (("causal", True), ("noncausal", False)):
            if f"gflop_per_token_{key}" in derived:
                ours = counted(record, is_causal=is_causal)
                assert ours / 1e9 == pytest.approx(
                    derived[f"gflop_per_token_{key}"], rel=0.005
                ), record["id"]
                num_rows += 1
                families.add(family(record))
    assert num_rows >= 130
    assert len(families) >= 20


def test_every_record_maps_to_a_model(records):
    assert all(transformer(record).num_layers > 0 for record in records)
