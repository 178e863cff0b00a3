"""Groups of published runs, and plans that did not fit."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from estimator.validation.scoring import of_quantity

ROOT = Path(__file__).parents[1]
FEW = ROOT / "tests" / "data" / "published_runs.yaml"
GROUPS = runpy.run_path(str(ROOT / "benchmarks" / "groups.py"))


@pytest.mark.slow
def test_plans_that_did_not_fit_are_told_from_those_that_did():
    found = GROUPS["labels"](FEW)
    assert found["num_out_of_memory"] == 10
    assert found["precision"] >= 0.8
    assert found["recall"] >= 0.6  # one of four misses is within a hundredth


@pytest.mark.slow
def test_one_set_of_constants_serves_five_groups_of_dense_runs(selection):
    steps = of_quantity(selection.rows, "step_s")
    errors = {
        family: np.array(
            [abs(row.error) for row in steps if row.family == family and holds(row)]
        )
        for family, holds in GROUPS["GROUPS"].items()
    }
    assert np.mean([each.mean() for each in errors.values()]) <= 0.08
    assert errors["llmfoundry"].mean() <= 0.12
    assert np.mean(np.concatenate(list(errors.values())) <= 0.2) >= 0.9
