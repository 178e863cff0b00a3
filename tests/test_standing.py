"""What an answer says beside its numbers: operations against the law, what was checked."""

import re
import runpy
from dataclasses import replace
from pathlib import Path

import pytest
from loops import each

from estimator.answer.api import estimate
from estimator.answer.track_record import Checked, checked, track_record
from estimator.catalog import kinds, loading
from estimator.costs.flop import flop_per_token
from estimator.costs.training_compute import THRESHOLDS, standings
from estimator.show.wording import checked_words

WRITER = runpy.run_path(
    str(Path(__file__).parents[1] / "benchmarks" / "track_record.py")
)


# ---- operations


@pytest.mark.slow
def test_the_training_of_deepseek_v3_stands_below_the_line_of_the_ai_act(run):
    (made,) = run("run", "deepseek-v3", "--json").json
    assert made["total_flop"] == pytest.approx(3.3e24, rel=0.15)
    eu, *others = made["flop_thresholds"]
    assert (eu["flop"], eu["crossed"]) == (1e25, False)
    assert eu["share"] == pytest.approx(made["total_flop"] / 1e25)
    assert "Article 51(2)" in eu["rule"]
    assert {other["flop"] for other in others} == {1e26}
    assert made["flop_not_counted"] == ["context-extension", "post-training"]


def test_the_operations_are_those_of_all_simulated_phases(report, deepseek):
    per_token = flop_per_token(deepseek.model, 4096)
    assert report.total_flop == pytest.approx(14.8e12 * per_token)
    assert report.total_flop == sum(phase.model_flop for phase in report.phases)


@pytest.mark.slow
def test_more_tokens_cross_the_line_and_every_answer_says_so(run):
    many = "phases.0.num_tokens=1e14"
    text = " ".join(run("run", "llama-3.1-405b", "--set", many).out.split())
    assert re.search(r"computation 2\.\d+e26 FLOP", text)
    (made,) = run("run", "llama-3.1-405b", "--set", many, "--json").json
    assert [line["crossed"] for line in made["flop_thresholds"]] == [True, True, True]


def test_a_line_is_crossed_above_it_not_on_it():
    for line in THRESHOLDS:
        assert line.source
        assert not standings(line.flop)[THRESHOLDS.index(line)].crossed
        assert standings(line.flop * 1.001)[THRESHOLDS.index(line)].crossed


@pytest.mark.slow
def test_the_page_and_the_exports_say_it(open_page, run, tmp_path):
    captions = " ".join(each.value for each in open_page("estimate").caption)
    assert "EU AI Act" in captions
    assert "Checked" in captions
    out = tmp_path / "made.md"
    run("run", "deepseek-v3", "--out", str(out))
    assert "EU AI Act" in out.read_text()


# ---- what was checked


def kind_of(gpu, kind="dense", num_runs=1, error=0.1):
    spec = loading.load("gpu", gpu)
    names = (gpu, spec.title, spec.vendor, spec.architecture)
    return Checked(*names, kind, num_runs, error)


KNOWN = [
    kind_of("a100-sxm-80", num_runs=200),
    kind_of("h100-sxm", num_runs=90),
    kind_of("h100-sxm", "moe", num_runs=40),
    kind_of("h200-sxm"),
    kind_of("mi355x", num_runs=4),
]


@pytest.mark.parametrize(
    ("gpu", "kind", "nearest", "why"),
    [
        ("h20", "dense", "h100-sxm dense", "same architecture"),
        ("h200-sxm", "moe", "h100-sxm moe", "same architecture"),
        ("mi300x", "moe", "mi355x dense", "same maker"),
        ("rtx-4090", "dense", "a100-sxm-80 dense", "same maker"),
        ("tpu-v5p", "dense", "a100-sxm-80 dense", "another maker's"),
        ("a100-sxm-80", "moe", "a100-sxm-80 dense", "same GPU"),
    ],
)
def test_what_was_not_checked_names_the_nearest_that_was(gpu, kind, nearest, why):
    made = track_record(loading.load("gpu", gpu), kind, KNOWN)
    assert made.num_runs == 0
    assert f"{made.nearest.gpu} {made.nearest.kind}" == nearest
    assert made.nearest.why == why
    assert "no published run" in checked_words(made)


def test_what_was_checked_needs_no_other():
    made = track_record(loading.load("gpu", "h200-sxm"), "dense", KNOWN)
    assert (made.num_runs, made.nearest) == (1, None)
    assert "1 published run of dense models" in checked_words(made)


def test_where_nothing_was_checked_nothing_is_claimed():
    made = track_record(loading.load("gpu", "h20"), "dense", [])
    assert (made.num_runs, made.median_abs_error, made.nearest) == (0, None, None)
    assert checked_words(made).endswith("has been checked")


@pytest.mark.slow
@pytest.mark.parametrize("node", ["mi300x-x8", "hgx-h20", "rtx4090-pcie-x8"])
def test_an_answer_on_a_gpu_that_was_not_checked_says_so(node, run):
    words = ("llama-3.1-405b", "--set", f"cluster.node={node}")
    (made,) = run("run", *words, "--json").json
    assert made["track_record"]["num_runs"] == 0
    assert made["track_record"]["nearest"]["num_runs"] > 0
    text = " ".join(run("run", *words).out.split())
    assert "no published run of a dense model on this GPU has been checked" in text


def test_the_record_changes_no_number(report, monkeypatch):
    monkeypatch.setattr("estimator.answer.track_record.checked", tuple)
    made = estimate("deepseek-v3")
    assert replace(made, track_record=report.track_record) == report


@pytest.mark.slow
def test_the_file_is_what_its_script_writes(selection):
    made = WRITER["entries"](selection.rows)
    assert [(each["gpu"], each["kind"]) for each in made] == [
        (each.gpu, each.kind) for each in checked()
    ], "python benchmarks/track_record.py writes it again"
    for new, old in zip(made, checked(), strict=True):
        assert new["num_runs"] == old.num_runs
        assert new["median_abs_error"] == pytest.approx(old.median_abs_error, abs=2e-3)


@each("name", kinds.names("gpu"))
def test_every_gpu_of_the_catalog_has_a_generation(name):
    assert loading.load("gpu", name).architecture
