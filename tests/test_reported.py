"""What went wrong for somebody: each input of ``reported.yaml`` gives its right value."""

from functools import cache, reduce
from pathlib import Path

import pytest
import yaml

from estimator.api import estimate

FACTS = yaml.safe_load(Path(__file__).with_name("reported.yaml").read_text())
CASES = [pytest.param(case, id=case["id"]) for case in FACTS["cases"]]


@pytest.fixture(scope="module")
def answer(tmp_path_factory):
    """A function from a scenario of the file, and overrides, to its report."""
    folder = tmp_path_factory.mktemp("reported")

    @cache
    def answered(name, *overrides):
        facts = FACTS["scenarios"].get(name)
        if facts is None:
            return estimate(name, overrides, has_range=False, is_played=False)
        path = folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump({"name": name, "question": name, **facts}))
        return estimate(str(path), overrides, has_range=False, is_played=False)

    return answered


def value(report, path):
    return reduce(getattr, path.split("."), report)


def interval(wanted):
    if "near" in wanted:
        near, within = wanted["near"], wanted["within"]
        return near * (1 - within), near * (1 + within)
    return tuple(wanted["between"])


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
