"""Scenarios side by side: true differences to the first, and none ends the others."""

import re
import shlex
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from estimator.explore import comparison
from estimator.explore.comparison import compare
from estimator.explore.frames import frames, long
from estimator.explore.results import Result
from estimator.explore.sweeps import sweep
from estimator.ground.errors import InputError
from estimator.show.sections import sections

THREE = ("deepseek-v3", "deepseek-v3@1f1b", "gpt3-175b")
NUMBERS = ("cost_usd", "gpu_hours", "wall_s", "step_s")
CHANGES = tuple(comparison.CHANGES)
BROKEN = ("deepseek-v3", "--vary", "model.num_layers=62,61,60")


_CHANGE = re.compile(r"[+-][\d.,]+%|[\d.]+ times")


@pytest.fixture(scope="module")
def three():
    return comparison.compare(THREE)


def test_each_column_is_told_against_the_first(three):
    first = three.reports[0].row()
    for report, told in zip(three.reports, three.changes, strict=True):
        row = report.row()
        assert [told[name] for name in CHANGES] == [
            pytest.approx(row[name] / first[name] - 1) for name in NUMBERS
        ]
    assert min(abs(change) for change in three.changes[2].values()) > 0.01


@pytest.mark.slow
def test_terminal_json_and_tables_tell_the_same_difference(three, run):
    told = run("compare", *THREE, "--json").json["scenarios"]
    against = {"scenario": "deepseek-v3"}
    assert [row["against_first"] for row in told] == [
        against | changes for changes in three.changes
    ]
    shown = run("compare", *THREE, "--quiet").out.splitlines()
    for name, words in zip(
        CHANGES, ("cost", "GPU-hours", "wall time", "step"), strict=True
    ):
        (line,) = (line for line in shown if line.startswith(f"{words} against first"))
        assert line.split()[-3:] == [f"{row[name]:+.1%}" for row in three.changes]
    result = Result(three.scenarios, three.reports, comparison=three)
    frame = frames(result)["against_first"]
    assert frame["cost_change"].tolist() == [
        row["cost_change"] for row in three.changes
    ]
    written = long(result)
    rows = written[written["table"] == "against_first"]
    assert len(rows) == len(three.reports) * len(CHANGES)
    assert set(rows["unit"]) == {"1"}


@pytest.mark.slow
def test_more_columns_than_a_terminal_has_room_for_tell_all_four(run):
    made = run("compare", *THREE, "deepseek-v3@h100", "llama-3.1-405b", "--quiet").out
    (start,) = (
        n for n, line in enumerate(made.splitlines()) if "Against first" in line
    )
    heads, *below = made.splitlines()[start + 1 :]
    told = ["scenario", "cost", "GPU-hours", "wall", "time", "step", "price"]
    assert heads.split() == told
    assert sum(len(_CHANGE.findall(row)) == 4 for row in below) == 5
    assert max(len(line.rstrip()) for line in made.splitlines()) <= 110


def test_shares_add_up_to_what_the_table_tells(three):
    for report, told in zip(three.reports[1:], three.changes[1:], strict=True):
        mine = [each for each in three.shares if each.scenario == report.scenario]
        for name, key in (
            ("cost_change", "cost_usd"),
            ("gpu_hours_change", "gpu_hours"),
        ):
            first = getattr(three.reports[0], key)
            whole = sum(getattr(each, key) for each in mine)
            assert whole == pytest.approx(told[name] * first, rel=1e-9)


@pytest.mark.slow
def test_a_cause_is_the_number_that_was_set_not_the_name_of_its_file(run):
    vary = "price.usd_per_gpu_hour=2,3"
    (cause,) = run("compare", "deepseek-v3", "--vary", vary, "--json").json[
        "attribution"
    ]
    assert cause["input"] == "price.usd_per_gpu_hour: 2 -> 3"


@pytest.mark.slow
def test_a_free_first_column_has_no_ratio():
    made = comparison.compare(
        ["deepseek-v3"], ["price.usd_per_gpu_hour=0,2"], ["plan.schedule=1f1b"]
    )
    assert made.changes[1]["cost_change"] is None
    assert made.changes[1]["step_change"] == 0


@pytest.mark.slow
def test_a_column_that_cannot_be_says_why_and_ends_no_table(run):
    made = run("compare", *BROKEN, "--json")
    assert made.status == 0
    lost, kept, last = made.json["scenarios"]
    assert lost == {
        "scenario": "num_layers=62",
        "error": "plan.stage_layout: it has 61 transformer layers (t), the model has 62; "
        "try stage_layout: even",
    }
    assert set(last) == {"scenario", "error"}
    assert kept["against_first"]["scenario"] == "num_layers=61"
    shown = run("compare", *BROKEN, "--quiet")
    assert shown.status == 0
    assert shown.out.split()[:3] == ["num_layers=62", "num_layers=61", "num_layers=60"]
    assert "num_layers=62 has no answer: plan.stage_layout: it has 61" in shown.out


def test_one_of_many_rows_that_cannot_be_keeps_its_row(run):
    vary = "model.num_layers=61,62,60,59,58"
    made = run("compare", "deepseek-v3", "--vary", vary, "--quiet")
    assert made.status == 0
    shown = made.out.splitlines()
    row, why = (line for line in shown if line.startswith("num_layers=62 "))
    assert set(row.split()[1:]) == {"-"}
    assert "62" in why.removeprefix("num_layers=62 has no answer: ")


def test_files_hold_why_a_column_is_missing():
    made = comparison.compare(["deepseek-v3"], ["model.num_layers=61,62"])
    result = Result(made.scenarios, made.reports, comparison=made, failed=made.failed)
    (row,) = frames(result)["failed"].to_dict("records")
    assert row["scenario"] == "num_layers=62"
    assert row["error"].startswith("plan.stage_layout: ")
    (section,) = (
        part for part in sections(result) if part.title == "What has no answer"
    )
    assert section.sentences[0].startswith("num_layers=62: plan.stage_layout: ")
    assert long(result)["text"].isin([row["error"]]).any()


def test_nothing_that_answers_is_an_error(run):
    made = run("compare", "deepseek-v3", "--vary", "model.num_layers=62,60")
    assert (made.status, made.out) == (2, "")
    assert "num_layers=62: plan.stage_layout" in made.err
    assert "num_layers=60: plan.stage_layout" in made.err
    assert "Traceback" not in made.err


@pytest.mark.parametrize("wrong", [["no-such-scenario"], ["deepseek-v3@no-such"]])
def test_a_name_that_does_not_exist_still_ends_the_command(run, wrong):
    for command in ("run", "compare"):
        assert run(command, "gpt3-175b", *wrong).status == 2


@pytest.mark.slow
def test_run_shows_the_scenarios_that_work(run):
    command = ("run", "gpt3-175b", "deepseek-v3", "--set", "plan.ep=64")
    made = run(*command, "--json")
    assert made.status == 0
    lost, kept = made.json
    assert lost["error"] == "plan.ep: ep 64, but 'gpt3-175b' has no experts"
    assert kept["gpu_hours"] > 0
    shown = run(*command, "--quiet")
    assert shown.status == 0
    assert "gpt3-175b has no answer: plan.ep" in shown.err
    assert "deepseek-v3" in shown.out
    alone = run("run", "gpt3-175b", "--set", "plan.ep=64")
    assert (alone.status, alone.out) == (2, "")
    assert "does not describe a Scenario" in alone.err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("override", "why"),
    [
        ("plan.pp=15", "does not divide num"),
        ("model=./secret.yaml", "only built-in files are read here"),
    ],
)
def test_the_page_shows_the_one_that_works_and_why_the_other_does_not(override, why):
    def script(override):
        from estimator.faces.pages import compare
        from estimator.faces.pages.question import Question

        compare.page(Question("deepseek-v3", (override,)))

    kwargs = {"override": override}
    app = AppTest.from_function(script, default_timeout=60, kwargs=kwargs)
    app.session_state["has_painted"] = True
    app.run()
    assert not app.exception
    (said,) = app.error
    assert why in said.value.replace("\\", "")
    shown = app.table[0].value
    assert "deepseek-v3" in [str(name).replace("\\", "") for name in shown.columns]


@pytest.mark.parametrize(
    ("vary", "told"),
    [
        ("plan.schedule=dualpipe,nosuch", "known: 1f1b, breadth-first, dualpipe"),
        ("cluster.num_gpus=abc,2048", "valid integer"),
    ],
)
@pytest.mark.parametrize("call", [compare, sweep])
def test_what_is_wrong_ends_a_table_and_what_does_not_fit_is_a_column(call, vary, told):
    name = ["deepseek-v3"] if call is compare else "deepseek-v3"
    with pytest.raises(InputError) as error:
        call(name, [vary])
    assert told in str(error.value)


@pytest.mark.parametrize("vary", ["plan.tp=1,2", "plan.zero=1,2"])
def test_what_a_person_wrote_is_refused_and_not_mended_by_a_range(vary, run):
    wrong = ("--set", "cluster.num_gpus=12")
    small = ("--set", "cluster.node=hgx-h100", "--set", "plan.pp=1", *wrong)
    more = ("--set", "plan.tp=1", "--set", "plan.schedule=1f1b")
    base = ("gpt3-175b", *small, *more, "--set", "plan.stages_per_rank=null")
    made = run("compare", *base, "--vary", vary)
    assert made.status == 2
    assert "12 GPUs are not whole nodes of 8" in made.err


@pytest.mark.slow
def test_the_page_on_networks_shows_what_its_command_prints(run):
    page = (Path(__file__).parents[1] / "docs" / "networks.md").read_text()
    words = re.search(
        r"^estimator (compare deepseek-v3 deepseek-v3@tp8 .*)$", page, re.MULTILINE
    )
    made = run(*shlex.split(words[1]), "--json").json["scenarios"]
    rows = re.findall(r"^\| \d+ ?(?:\(.*\))? \|(.*)\|$", page, re.MULTILINE)
    half = len(rows)
    assert len(made) == 2 * half
    for row, *pair in zip(rows, made[:half], made[half:], strict=True):
        told = [cell.strip() for cell in row.split("|")]
        for one, first, shown in zip(pair, (made[0], made[half]), (0, 2), strict=True):
            cost = f"{one['cost_usd'] / first['cost_usd'] - 1:+.1%}".replace("%", " %")
            step = f"{one['step']['step_s']:.2f}"
            assert told[shown : shown + 2] == [step, "" if one is first else cost]
