"""What went wrong for somebody: each input of ``reported.yaml`` gives its right value."""

from functools import cache, reduce
from pathlib import Path

import pytest
import yaml

from estimator.answer.api import estimate

FACTS = yaml.safe_load(Path(__file__).with_name("reported.yaml").read_text())
CASES = [pytest.param(case, id=case["id"]) for case in FACTS["cases"]]


@pytest.fixture(scope="module")
def answer():
    """A function from a scenario of the file, or a built-in one, to its report."""

    @cache
    def answered(name, *overrides):
        facts = FACTS["scenarios"].get(name)
        asked = {"name": name, "question": name, **facts} if facts else name
        return estimate(asked, overrides, has_range=False, is_played=False)

    return answered


def value(report, path):
    return reduce(getattr, path.split("."), report)


def interval(wanted):
    if "near" in wanted:
        near, within = wanted["near"], wanted["within"]
        return near * (1 - within), near * (1 + within)
    return tuple(wanted["between"])


@pytest.mark.slow
@pytest.mark.parametrize("case", [c for c in CASES if "expect" in c.values[0]])
def test_a_reported_input_gives_its_right_value(case, answer):
    report = answer(case["scenario"], *case["set"])
    for path, wanted in case["expect"].items():
        found = value(report, path)
        if "over" in wanted:
            base = answer(case["scenario"], *case.get("over-set", ()))
            found, (low, high) = found / value(base, path), wanted["over"]
        else:
            low, high = interval(wanted)
        assert low <= found <= high


@pytest.mark.parametrize("case", [c for c in CASES if "refused" in c.values[0]])
def test_a_reported_input_is_refused(case, answer):
    with pytest.raises(Exception, match=case["refused"]):
        answer(case["scenario"], *case["set"])


def at(document, path):
    for key in path.split("."):
        document = document[int(key) if key.isdecimal() else key]
    return document


@pytest.mark.slow
@pytest.mark.parametrize("case", FACTS["commands"], ids=lambda case: case["id"])
def test_a_reported_command_prints_its_right_value(case, run, tmp_path):
    files = {"FILE": tmp_path / "asked.yaml", "OUT": tmp_path / "rows.csv"}
    if name := case.get("scenario"):
        facts = {"name": name, "question": name, **FACTS["scenarios"][name]}
        files["FILE"].write_text(yaml.safe_dump(facts))
    made = run(*(str(files.get(word, word)) for word in case["command"]))
    assert (made.status, made.err) == (0, "")
    for path, (low, high) in case["expect"].items():
        assert low <= at(made.json, path) <= high
