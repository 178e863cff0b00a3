"""Our own selection of published runs: what it holds, and what is said about it."""

import json
import os
import runpy
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml

from estimator.show.validation.markdown import markdown
from estimator.validation.runs import read
from estimator.validation.scoring import LEAST_SPREAD, family, of_quantity

ROOT = Path(__file__).parents[1]
BLOCKS = runpy.run_path(str(ROOT / "benchmarks" / "blocks.py"))
ENTRIES = read(ROOT / "validation" / "runs")
RUNS = [entry for entry in ENTRIES if entry["record"] == "run"]


@pytest.mark.slow
def test_the_readme_holds_what_the_command_prints(selection):
    told = BLOCKS["blocks"]((ROOT / "README.md").read_text())
    assert told["validate --markdown"] == markdown(selection), (
        "python benchmarks/blocks.py writes it again"
    )


def test_a_block_is_replaced_and_the_text_around_it_stays():
    text = "a\n<!-- estimator list gpu -->\nold\n<!-- end -->\nb\n"
    assert BLOCKS["blocks"](text) == {"list gpu": "old\n"}
    assert BLOCKS["printed"]("validate --runs ../nowhere.yaml --markdown") is None


# ---- what the selection holds


def test_it_is_large_and_of_many_families():
    assert len(RUNS) >= 300
    families = {family(entry) for entry in RUNS}
    assert len(families) >= 15
    assert "hfnanotron" not in families  # third-party copy, licence unconfirmed


@pytest.mark.parametrize("key", ["source", "where", "trust", "split"])
def test_each_record_says_where_it_is_from(key):
    assert [entry["id"] for entry in ENTRIES if not entry.get(key)] == []


def test_each_run_says_how_its_source_counts_flop():
    assert [run["id"] for run in RUNS if not run.get("flop_convention")] == []


def test_each_record_has_its_own_name_and_a_known_split_and_trust():
    names = Counter(entry["id"] for entry in ENTRIES)
    assert names.most_common(1)[0][1] == 1
    assert {entry["split"] for entry in ENTRIES} == {"calibration", "public"}
    assert {entry["trust"] for entry in ENTRIES} <= {"A", "B"}


@pytest.mark.slow
def test_each_family_has_a_title(selection):
    families = {row.family for row in selection.rows}
    assert families <= set(selection.titles)


# ---- what is predicted


@pytest.mark.slow
def test_every_record_of_it_is_predicted(selection):
    assert [lost.id for lost in selection.unmapped] == []
    assert {row.id for row in selection.rows} >= {entry["id"] for entry in ENTRIES}


@pytest.mark.slow
def test_the_budgets_of_the_main_scenario_are_scored(selection):
    budgets = of_quantity(selection.rows, "gpu_hours")
    assert {row.measured for row in budgets} == {2664e3, 2788e3}
    told = selection.summary()["budgets"]
    assert [made["error"] for made in told] == [row.error for row in budgets]


@pytest.mark.slow
def test_the_steps_of_the_main_scenario_stand_beside_their_tolerance(selection):
    assert len(selection.anchors) >= 10
    for made in selection.anchors:
        assert abs(made.error) <= made.tolerance, made.name


@pytest.mark.slow
def test_peers_stand_beside_us_on_the_same_rows(selection):
    made = selection.to_dict()["peers"]
    # means that the other simulators print: reference/peers.md, sections 2c and 2e
    theirs = {
        ("korthikanti", "Calculon"): (8, 0.0365),
        ("korthikanti", "SimuMax"): (8, 0.049),
        ("simumax", "SimuMax"): (32, 0.054),
    }
    assert {(each["family"], each["peer"]) for each in made} == set(theirs)
    for each in made:
        num_runs, mean = theirs[each["family"], each["peer"]]
        assert each["num_runs"] == len(each["rows"]) == num_runs
        assert each["peer_mean_abs_error"] == pytest.approx(mean, abs=2.5e-3)


@pytest.mark.slow
def test_memory_and_out_of_memory_are_scored(selection):
    made = selection.summary()
    assert made["memory"]["num_runs"] == sum(
        each["num_runs"] for each in made["memory_by_family"].values()
    )
    labels = made["out_of_memory"]
    assert labels["num_labels"] == len(ENTRIES)
    assert labels["num_out_of_memory"] == len(ENTRIES) - len(RUNS)


@pytest.mark.slow
def test_groups_hold_every_step_once(selection):
    made, steps = selection.summary(), of_quantity(selection.rows, "step_s")
    for name in ("gpus", "model_kinds", "plans", "scales"):
        assert sum(each["num_runs"] for each in made[name].values()) == len(steps)


@pytest.mark.slow
def test_a_sweep_holds_plans_of_one_model_batch_and_cluster(selection):
    for made in selection.summary()["sweeps"]:
        assert made["num_runs"] >= 10
        assert -1 <= made["spearman"] <= 1
        if made["spread"] >= LEAST_SPREAD:
            assert selection.summary()["least_rank_correlation"] <= made["spearman"]


# ---- what reads it


@pytest.mark.slow
def test_predictions_are_the_same_where_the_folder_is_not(report, selection, tmp_path):
    for name in ("estimator", "hardware", "models", "scenarios", "software"):
        shutil.copytree(ROOT / name, tmp_path / name)
    few = [entry for entry in ENTRIES if family(entry) in ("korthikanti", "pfold")]
    (tmp_path / "runs.yaml").write_text(yaml.safe_dump(few))
    program = "from estimator.faces.cli.main import main; main()"

    def told(*words):
        done = subprocess.run(
            [sys.executable, "-c", program, *words, "--json"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(done.stdout)

    (made,) = told("run", "deepseek-v3")
    assert made["gpu_hours"] == report.gpu_hours
    assert made["step"]["step_s"] == report.step.step_s
    ours = {(row.id, row.quantity): row.predicted for row in selection.rows}
    rows = told("validate", "--runs", "runs.yaml")["runs"]
    assert len({row["id"] for row in rows}) == len(few)
    for row in rows:
        assert row["predicted"] == ours[row["id"], row["quantity"]]


def test_one_module_alone_opens_the_folder():
    readers = [
        path.name
        for path in (ROOT / "estimator").rglob("*.py")
        if '/ "validation"' in path.read_text()
    ]
    assert readers == ["runs.py"]
