"""Published sweeps that are not part of this repository, where they lie beside it."""

import runpy
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
RUNS = ROOT.parent / "shared" / "reference" / "published_runs.yaml"
GROUPS = runpy.run_path(str(ROOT / "benchmarks" / "groups.py"))

pytestmark = pytest.mark.skipif(
    not RUNS.is_file(), reason="the collected runs do not lie beside the checkout"
)


def test_plans_that_did_not_fit_are_told_from_those_that_did():
    found = GROUPS["labels"](RUNS)
    assert found["num_out_of_memory"] == 66
    assert found["precision"] >= 0.8
    assert found["recall"] >= 0.8


def test_one_set_of_constants_serves_five_groups_of_dense_runs():
    errors = {
        family: np.array([abs(row.error) for row in GROUPS["timed"](RUNS, family)])
        for family in GROUPS["GROUPS"]
    }
    assert np.mean([each.mean() for each in errors.values()]) <= 0.08
    assert errors["llmfoundry"].mean() <= 0.12
    assert np.mean(np.concatenate(list(errors.values())) <= 0.2) >= 0.9
