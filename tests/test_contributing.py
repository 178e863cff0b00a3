"""The recipes of CONTRIBUTING.md work as they stand."""

import re
from pathlib import Path

import pytest
import yaml

from estimator.catalog import loading
from estimator.costs.params import params
from estimator.schedules.notation import Pipeline
from estimator.schedules.programs import program, schedule

TEXT = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text()
YAML = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
PYTHON = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def recipe(word):
    (text,) = (text for text in YAML if word in text)
    return text


def test_a_release_is_a_file_over_the_one_before(tmp_path):
    path = tmp_path / "torchtitan-2026-06.yaml"
    path.write_text(recipe("torchtitan-2026-06"))
    made = loading.load_scenario(
        "deepseek-v3", [f"software={path}", "software.with=[waited-launches]"]
    ).software
    below = loading.load("software", "torchtitan-2025-12")
    changed = {
        switch
        for switch, value in made.switches().items()
        if value != below.switches()[switch]
    }
    assert changed == {"kernels.loss", "kernels.launch"}
    assert made.status["kernels.loss"] == "read"


def test_a_gpu_is_a_file_over_another(tmp_path):
    path = tmp_path / "h100-new.yaml"
    path.write_text(recipe("h100-new"))
    made = loading.load("gpu", str(path))
    assert made.hbm_bytes == 96e9
    assert made.peak_flop_per_s == loading.load("gpu", "h100-sxm").peak_flop_per_s


def test_a_model_is_a_file(tmp_path):
    path = tmp_path / "tiny-1b.yaml"
    path.write_text(recipe("tiny-1b"))
    assert params(loading.load("model", str(path))).total == pytest.approx(
        1.1e9, rel=0.1
    )


def test_a_schedule_is_a_generator(monkeypatch):
    assert "forward-first" not in list(schedule)  # loads all that are built in
    monkeypatch.setattr(schedule, "_entries", dict(schedule._entries))
    exec(PYTHON[0], {"__name__": "recipe"})  # noqa: S102 - our own text
    made = program("forward-first", Pipeline(num_ranks=4, num_microbatches=8))
    assert len(made.ranks) == 4


def test_a_published_run_is_predicted(run, tmp_path):
    path = tmp_path / "runs.yaml"
    path.write_text(recipe("newcomer-llama3"))
    (entry,) = yaml.safe_load(path.read_text())
    made = run("validate", "--runs", str(path), "--json").json
    assert {row["id"] for row in made["runs"]} == {entry["id"]}
    assert made["unmapped"] == []


def test_every_file_that_it_names_is_there():
    root = Path(__file__).parents[1]
    named = re.findall(r"`((?:estimator|tests|benchmarks)/[\w/.]+)`", TEXT)
    assert [name for name in named if not (root / name).exists()] == []
