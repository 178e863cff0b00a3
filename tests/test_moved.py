"""Files, links and options that say where a field used to stand mean the same."""

import re
import warnings
from pathlib import Path

import pytest
from loops import each
from typer.testing import CliRunner

from estimator.catalog.loading import load_scenario
from estimator.catalog.moved import MOVED, MovedWarning
from estimator.catalog.writing import scenario_yaml
from estimator.explore.comparison import compare
from estimator.explore.sweeps import sweep
from estimator.faces.cli.main import cli
from estimator.faces.uploads import Accepted, accepted
from estimator.ground.errors import EstimatorError
from estimator.specs.software import switch_paths

ROOT = Path(__file__).parents[1]
OLD = sorted((ROOT / "tests" / "data" / "before-software").glob("*.yaml"))
REPORTED = sorted((ROOT.parent / "shared" / "reference" / "reported").rglob("*.yaml"))
PAGES = (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"))
LAUNCH = "plan.launch is software.kernels.launch now"


def told(call):
    """Return what a call gives, and the notes of fields that moved."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", MovedWarning)
        made = call()
    return made, [str(warned.message) for warned in caught]


def why_refused(path):
    try:
        told(lambda: load_scenario(path))
    except EstimatorError as error:
        return str(error)
    return ""


def run(*words):
    return CliRunner().invoke(cli, words)


def test_every_field_that_moved_is_a_switch_now():
    assert set(MOVED.values()) <= set(switch_paths())


@each("path", OLD)
def test_an_older_file_loads_and_a_note_names_each_new_path(path):
    scenario, _ = told(lambda: load_scenario(path))
    name = "+".join(scenario.variants)
    made, notes = told(lambda: load_scenario(f"{path}@{name}" if name else path))
    found = dict(
        re.search(r": (\S+) is software\.(\S+) now$", each).groups() for each in notes
    )
    assert found
    assert found.items() <= MOVED.items()
    assert all(note.startswith(f"{path}:") for note in notes)
    assert {made.software.status[new] for new in found.values()} == {"asked"}


@each("path", OLD)
def test_an_older_file_is_saved_as_one_of_today(path, tmp_path):
    made, _ = told(lambda: load_scenario(path))
    saved = tmp_path / "saved.yaml"
    saved.write_text(scenario_yaml(made))
    again, notes = told(lambda: load_scenario(saved))
    assert not notes
    assert again.software == made.software


@pytest.mark.skipif(not REPORTED, reason="the reported files lie outside")
def test_no_reported_file_is_refused_for_a_field_that_moved():
    refused = "\n".join(filter(None, map(why_refused, REPORTED)))
    fields = re.findall(r"unknown field '([a-z_.]+)'", refused)
    assert not set(fields) & {*MOVED, "plan.overlap"}


def test_no_page_writes_a_path_that_moved():
    said = {
        path.name: path.read_text() for path in PAGES if path.name != "CHANGELOG.md"
    }
    said["scenarios.md"] = said["scenarios.md"].partition("## Older files")[0]
    for name, text in said.items():
        assert not [
            old for old in MOVED if re.search(rf"\b{re.escape(old)}\b", text)
        ], name


def test_a_note_is_one_line_for_each_path_unless_quiet():
    old = ("run", "deepseek-v3", "--json", "--set", "plan.launch=graph")
    made = run(*old)
    assert made.stderr == f"note: --set: {LAUNCH}\n"
    assert run(*old, "-q").stderr == ""
    new = run("run", "deepseek-v3", "--json", "--set", "software.kernels.launch=graph")
    assert new.stdout == made.stdout
    assert new.stderr == ""


def test_a_value_that_is_varied_at_an_old_path_is_varied_at_the_new(tmp_path):
    vary = "plan.overlap.tensor=none,async"
    old, notes = told(lambda: compare("gpt3-175b", vary))
    assert notes == ["--vary: plan.overlap.tensor is software.communication.tensor now"]
    new = compare("gpt3-175b", "software.communication.tensor=none,async")
    assert old.labels == new.labels
    assert old.shares == new.shares
    told(lambda: sweep("gpt3-175b", vary, out=tmp_path / "rows.csv"))
    head = (tmp_path / "rows.csv").read_text().partition("\n")[0]
    assert "software.communication.tensor" in head


def test_what_published_phases_were_spent_on_may_be_older(tmp_path):
    text = scenario_yaml(load_scenario("deepseek-v3@h100"))
    made = load_scenario("deepseek-v3@h100")
    old = tmp_path / "old.yaml"
    place = text.index("published_on:")
    below = text[place:].replace("  plan:\n", "  plan:\n    launch: graph\n", 1)
    old.write_text(text[:place] + below)
    read, notes = told(lambda: load_scenario(old))
    assert [note.partition(": ")[2] for note in notes] == [LAUNCH]
    assert read.published_on.software.kernels.launch == "graph"
    assert made.published_on.software.kernels.launch == "queued"


def test_an_older_file_is_taken_where_it_is_handed_in():
    text = b"base: deepseek-v3\nplan: {launch: graph}\n"
    chosen = Accepted(load_scenario("deepseek-v3"), "deepseek-v3")
    made, notes = told(lambda: accepted(text, "old.yaml", chosen))
    assert notes == [f"old.yaml:2: {LAUNCH}"]
    assert made.scenario.software.kernels.launch == "graph"
