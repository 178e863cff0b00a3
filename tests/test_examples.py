"""Examples print what stands beside them, and the package's names are few and lazy."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import estimator
from estimator.answer.report import Report
from estimator.explore.comparison import Comparison
from estimator.explore.plan.search import plan
from estimator.explore.sweeps import Sweep
from estimator.ground.errors import InputError

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_prints_what_stands_beside_it(path, capsys):
    code = compile(path.read_text(encoding="utf-8"), str(path), "exec")
    exec(code, {"__name__": "__main__"})  # noqa: S102 - our own file
    expected = path.with_suffix(".out").read_text(encoding="utf-8")
    assert capsys.readouterr().out == expected, f"python {path} > {path.stem}.out"


def test_the_public_names_are_there_and_are_not_modules():
    for name in estimator.__all__:
        assert callable(getattr(estimator, name))
    assert set(estimator.__all__) == set(estimator.HOMES)
    assert estimator.plan is plan
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        estimator.nothing  # noqa: B018


def test_importing_the_package_loads_nothing_else():
    code = "import sys, estimator; print('numpy' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(Path(estimator.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "False"


@pytest.mark.slow
def test_results_are_typed_and_have_frames():
    report = estimator.estimate("deepseek-v3", ["cluster.num_gpus=1024"])
    assert isinstance(report, Report)
    assert report.num_gpus == 1024
    assert next(iter(report.frame()["name"])) == "pre-training"
    assert report.frame()["gpu_hours"].sum() == pytest.approx(report.gpu_hours)

    made = estimator.compare(["deepseek-v3", "deepseek-v3@bf16"])
    assert isinstance(made, Comparison)
    first, second = made.frame()["gpu_hours"]
    assert made.attribution()["gpu_hours"].sum() == pytest.approx(second - first)

    rows = estimator.sweep("deepseek-v3", ["price.usd_per_gpu_hour=1:2:3"])
    assert isinstance(rows, Sweep)
    assert isinstance(rows.frame(), pd.DataFrame)


def test_overrides_belong_to_a_name():
    scenario = estimator.load_scenario("deepseek-v3")
    with pytest.raises(InputError, match="takes no overrides"):
        estimator.estimate(scenario, ["cluster.num_gpus=1024"])


@pytest.mark.slow
def test_the_sequential_attribution_adds_up_in_its_own_way():
    names = ["deepseek-v3@1f1b+bf16+h100", "deepseek-v3"]
    averaged, ordered = (
        estimator.compare(names, is_sequential=flag) for flag in (False, True)
    )
    before, after = (report.cost_usd for report in averaged.reports)
    for made in (averaged, ordered):
        total = sum(share.cost_usd for share in made.shares)
        assert total == pytest.approx(after - before, rel=1e-9)
    assert [share.input for share in averaged.shares] == [
        share.input for share in ordered.shares
    ]
    assert averaged.shares != ordered.shares
