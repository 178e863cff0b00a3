"""What a program may hand to the public functions, and what it is told."""

import tomllib
from pathlib import Path

import numpy as np
import pytest
import yaml

import estimator
from estimator.catalog import kinds
from estimator.explore.uncertainty import uncertainty
from estimator.ground.errors import EstimatorError, InfeasibleError, InputError

NAME = "gpt3-175b"
FILE = kinds.data_folder() / "scenarios" / f"{NAME}.yaml"


@pytest.fixture(scope="module")
def held():
    return yaml.safe_load(FILE.read_text())


CALLS = {
    "estimate": lambda scenario: estimator.estimate(scenario).gpu_hours,
    "load_scenario": lambda scenario: estimator.load_scenario(scenario).plan,
    "compare": lambda scenario: (
        estimator.compare([scenario, scenario], overrides=["recompute=full"])
        .frame()["gpu_hours"]
        .tolist()
    ),
    "sweep": lambda scenario: (
        estimator.sweep(scenario, ["price.usd_per_gpu_hour=1,2"])
        .columns["cost_usd"]
        .tolist()
    ),
    "plan": lambda scenario: estimator.plan(scenario).to_dict(),
    "uncertainty": lambda scenario: uncertainty(scenario, num_samples=8).spreads,
}


def test_every_public_function_is_examined():
    assert {*estimator.__all__} - {"EstimatorError"} <= {*CALLS}


@pytest.mark.slow
@pytest.mark.parametrize("call", [name for name in CALLS if name != "plan"])
def test_a_mapping_is_what_the_name_is(held, call):
    assert CALLS[call](held) == CALLS[call](NAME)


def test_a_plan_for_a_mapping_is_one_for_the_name(held, monkeypatch):
    asked = []

    def evaluated(scenario):
        asked.append(scenario)
        raise InfeasibleError("enough is known")

    monkeypatch.setattr("estimator.explore.plan.search.evaluated", evaluated)
    for scenario in (held, NAME):
        with pytest.raises(InfeasibleError):
            estimator.plan(scenario)
    assert asked[0] == asked[1]


def test_a_path_is_a_name():
    assert estimator.load_scenario(FILE) == estimator.load_scenario(NAME)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "given", [5, None, {"nome": 1}, {}, {3: 4}, {"name": object()}]
)
def test_what_is_no_scenario_gets_one_message(call, given):
    with pytest.raises(EstimatorError) as told:
        CALLS[call](given)
    assert str(told.value)


def test_a_mapping_may_lie_over_a_base(held):
    made = {"base": NAME, "cluster": {**held["cluster"], "num_gpus": np.int64(2048)}}
    assert estimator.load_scenario(made) == estimator.load_scenario(
        NAME, ["cluster.num_gpus=2048"]
    )


def test_a_mistake_in_a_mapping_is_named(held):
    with pytest.raises(InputError) as told:
        estimator.estimate({**held, "plan": {**held["plan"], "pipeline": 3}})
    assert any("plan.pipeline" in place for place in told.value.where)


@pytest.mark.slow
def test_overrides_are_texts_one_text_or_a_mapping():
    wanted = estimator.load_scenario(NAME, ["cluster.num_gpus=2048"])
    for given in ("cluster.num_gpus=2048", {"cluster.num_gpus": np.int64(2048)}):
        assert estimator.load_scenario(NAME, given) == wanted
    one = estimator.compare(NAME, "plan.pp=8,16", {"recompute": "full"})
    other = estimator.compare(NAME, {"plan.pp": [8, 16]}, "recompute=full")
    assert one == other
    rows = estimator.sweep(NAME, {"plan.pp": np.array([8, 16])}, {"recompute": "full"})
    assert len(rows) == 2


@pytest.mark.parametrize("given", [[4], 4, {4: 5}])
def test_other_overrides_get_one_message(given):
    for ask in (
        lambda: estimator.estimate(NAME, given),
        lambda: estimator.compare(NAME, given),
        lambda: estimator.sweep(NAME, given),
    ):
        with pytest.raises(InputError, match="a mapping of paths to values, not"):
            ask()


def test_one_scenario_alone_is_told_what_is_missing():
    with pytest.raises(InputError, match="2 to 64 scenarios, not 1") as told:
        estimator.compare(NAME)
    assert "estimator compare" not in told.value.fix


def test_a_mapping_that_holds_itself_is_refused():
    endless: dict[str, object] = {}
    endless["plan"] = endless
    with pytest.raises(InputError, match="nested more than"):
        estimator.estimate(endless)


def test_a_resolved_scenario_takes_no_overrides():
    scenario = estimator.load_scenario(NAME)
    assert estimator.load_scenario(scenario) is scenario
    for function in (estimator.estimate, estimator.plan, uncertainty):
        with pytest.raises(InputError, match="takes no overrides"):
            function(scenario, ["plan.pp=4"])


@pytest.mark.parametrize(
    ("what", "extra", "call"),
    [
        ("pyarrow", "export", {"out": "rows.parquet"}),
        ("distributed", "scale", {"dask": "127.0.0.1:8786"}),
    ],
)
def test_a_missing_extra_is_one_line_that_says_how_to_install_it(
    monkeypatch, tmp_path, what, extra, call
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("estimator.ground.extras.find_spec", lambda name: None)
    with pytest.raises(EstimatorError) as told:
        estimator.sweep(NAME, ["plan.pp=8"], **call)
    (line,) = str(told.value).splitlines()
    assert f"needs {what}" in line
    assert f"pip install 'estimator[{extra}]'" in line
    assert not list(tmp_path.iterdir())


def test_extras_that_are_named_exist():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
    assert {"app", "export", "scale", "search"} <= {
        *project["project"]["optional-dependencies"]
    }


@pytest.mark.slow
@pytest.mark.parametrize("seed", ["0", "3"])
def test_the_same_seed_prints_the_same_bytes(run, seed):
    pytest.importorskip("SALib")
    words = ["uncertainty", NAME, "--samples", "8", "--seed", seed, "--json"]
    made = []
    for state in (1, 2):
        np.random.seed(state)  # noqa: NPY002 - what a library may draw from
        made.append(run(*words).out)
    assert made[0] == made[1]


def test_a_drawn_sweep_repeats_to_the_byte(tmp_path):
    vary = ["cluster.fabric.bytes_per_s=25 GB/s:100 GB/s", "price.usd_per_gpu_hour=1:3"]
    for name in ("a.csv", "b.csv"):
        estimator.sweep(NAME, vary, design="lhs", num_samples=9, out=tmp_path / name)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
