"""Software as a file: every switch sourced, releases in lines, features by name."""

import copy
import runpy
from pathlib import Path

import pytest
import yaml

from estimator.catalog import kinds, loading
from estimator.ground.errors import InputError
from estimator.specs.software import STATUSES, date, switch_paths

ROOT = Path(__file__).parents[1]
NAMES = kinds.names("software")
RAW = {
    name: yaml.safe_load((ROOT / "software" / f"{name}.yaml").read_text())
    for name in NAMES
}
MADE = {name: loading.load("software", name) for name in NAMES}
PUBLISHED = (
    *(("megatron-lm", each) for each in ("2021-04", "2022-05", "2023-07", "2023-11")),
    *(("megatron-core", each) for each in ("2024-07", "2024-11", "2025-09", "2025-10")),
    *(("megatron-core", "2026-02"), ("primus", "2025-10"), ("metaseq", "2021-11")),
    *(("megatron-deepspeed", each) for each in ("2022-02", "2022-05", "2022-12")),
    *(("nemo", each) for each in ("24.03", "24.07", "24.09", "25.02", "25.04")),
    *(("megatron-bridge", each) for each in ("25.09", "25.11", "26.02", "26.04")),
    *(("megatron-bridge", "26.06"), ("nemo", "25.09"), ("paxml", "2024-11")),
    *(("maxtext", "2024-11"), ("maxtext", "2025-04"), ("t5x", "2022-01")),
    *(("gpt-neox", "2022-04"), ("fairscale", "2022-12"), ("meta-llama3", "2024-04")),
    *(("llm-foundry", "2023-10"), ("nanotron", "2024-12"), ("megascale", "2024-02")),
    *(("torchtitan", "2024-12"), ("hai-llm", "2099-12")),
)
"""What the collected records say that they ran on."""
RUNS = [
    record
    for path in sorted((ROOT / "validation" / "runs").glob("*.yaml"))
    for record in yaml.load(path.read_text(), Loader=yaml.CSafeLoader)
]
SAYS = {"base", "with", "name", "title", "framework", "release", "offers", "sources"}
VENDORS = {"nvidia", "amd", "google", "aws", "intel", "apple", "huawei"}


def stated(document):
    """Return the paths that a file has to tell the source of."""
    paths = {f"offers.{feature}" for feature in document.get("offers", {})}
    for group, value in document.items():
        if isinstance(value, dict) and group not in SAYS:
            paths |= {f"{group}.{key}" for key in value}
        elif group not in SAYS:
            paths.add(group)
    return paths


def written(tmp_path, document):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(document))
    return loading.load("software", str(path))


def test_there_are_at_least_thirty_five_releases():
    assert len({(made.framework, made.date) for made in MADE.values()}) >= 35


@pytest.mark.parametrize("name", NAMES)
def test_every_switch_of_a_file_has_a_source_of_its_own(name):
    assert set(RAW[name].get("sources", {})) == stated(RAW[name])


@pytest.mark.parametrize("name", NAMES)
def test_every_switch_has_a_source_and_a_status_in_the_end(name):
    made = MADE[name]
    wanted = {*switch_paths(), *(f"offers.{feature}" for feature in made.offers)}
    assert set(made.sources) == wanted
    assert set(made.status.values()) <= set(STATUSES)


def test_a_file_without_one_source_is_refused(tmp_path):
    root = RAW["megatron-lm-2021-04"]
    for path in sorted(root["sources"]):
        document = copy.deepcopy(root)
        del document["sources"][path]
        with pytest.raises(InputError, match=f"there is none for {path}"):
            written(tmp_path, document)


def test_a_switch_over_a_base_has_not_the_source_of_what_it_replaces(tmp_path):
    own = {"base": "torchtitan-2024-12", "framework": "mine", "name": "mine"}
    made = written(tmp_path, {**own, "kernels": {"loss": "fused"}})
    assert made.status["kernels.loss"] == "assumed"
    assert "no source" in made.sources["kernels.loss"]


def test_a_source_says_how_it_is_known(tmp_path):
    document = {"base": "nanotron-2024-12", "sources": {"kernels.loss": "somewhere"}}
    with pytest.raises(InputError, match="begin with how it is known"):
        written(tmp_path, document)


@pytest.mark.parametrize("name", NAMES)
def test_a_release_stands_on_one_that_is_not_newer(name):
    base = RAW[name].get("base")
    assert base is None or MADE[base].date <= MADE[name].date


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_named_after_its_framework_and_release(name):
    made = MADE[name]
    assert made.name == name
    stem = name.removesuffix("-compiled")
    assert stem in (f"{made.framework}-{made.release}", made.framework)
    assert set(made.accelerators) <= VENDORS


def test_releases_of_a_framework_are_listed_in_order():
    for framework in {made.framework for made in MADE.values()}:
        dates = [made.date for made in MADE.values() if made.framework == framework]
        assert dates == sorted(dates)


def test_every_vendor_of_a_gpu_is_one_that_software_can_name():
    gpus = [loading.load("gpu", name) for name in kinds.names("gpu")]
    assert {gpu.vendor.lower() for gpu in gpus} <= VENDORS


@pytest.mark.parametrize(("framework", "version"), PUBLISHED)
def test_published_runs_have_a_release_that_is_not_newer(framework, version):
    dates = [made.date for made in MADE.values() if made.framework == framework]
    assert min(dates) <= date(version)


def test_a_feature_that_is_turned_on_sets_its_switches_and_their_source():
    plain, made = MADE["torchtitan-2025-06"], MADE["torchtitan-2025-06-compiled"]
    old, new = plain.switches(), made.switches()
    changed = {path: new[path] for path in new if new[path] != old[path]}
    assert changed == {
        "kernels.fused_activations": True,
        "kernels.fused_norms": True,
        "kernels.loss": "fused",
        "communication.context": False,
    }
    assert made.sources["kernels.loss"] == plain.sources["offers.compile"]


def test_what_a_file_says_itself_stands_above_a_feature(tmp_path):
    document = {
        "base": "torchtitan-2025-06",
        "with": ["compile"],
        "kernels": {"loss": "half"},
    }
    made = written(tmp_path, document)
    assert (made.kernels.loss, made.kernels.fused_norms) == ("half", True)


def test_a_feature_that_a_release_lacks_cannot_be_turned_on(tmp_path):
    document = {"base": "torchtitan-2024-12", "with": ["deepep"]}
    with pytest.raises(InputError, match="has no feature called 'deepep'") as told:
        written(tmp_path, document)
    assert "compile" in str(told.value)


def test_a_feature_sets_switches_that_there_are(tmp_path):
    offers = {"magic": {"kernels.magic": True}}
    document = {
        "base": "nanotron-2024-12",
        "offers": offers,
        "sources": {"offers.magic": "assumed: a test"},
    }
    with pytest.raises(InputError, match=r"no switch 'kernels\.magic'"):
        written(tmp_path, document)
    offers["magic"] = {"kernels.loss": "magic"}
    with pytest.raises(InputError, match=r"offers\.magic\.kernels\.loss"):
        written(tmp_path, document)


@pytest.mark.parametrize("name", NAMES)
def test_each_feature_of_a_release_can_be_turned_on(name, tmp_path):
    for feature in RAW[name].get("offers", {}):
        patch = MADE[name].offers[feature]
        made = written(tmp_path, {"base": name, "with": [feature]}).switches()
        assert {path: made[path] for path in patch} == patch


def test_no_record_and_nothing_measured_stands_in_a_file():
    ids = {record["id"] for record in RUNS}
    for name in NAMES:
        text = (ROOT / "software" / f"{name}.yaml").read_text()
        assert not [each for each in ids if each in text]


def test_software_is_listed_shown_and_described(run):
    rows = run("list", "software", "--json").json
    assert [row["name"] for row in rows] == NAMES
    shown = run("show", "software", "nanotron-2024-12").out
    assert "attention_copies  7" in shown
    assert "gate_up_proj" in shown  # a word's source, too
    properties = run("schema", "software").json["properties"]
    assert {"kernels", "offers", "sources", "base", "with"} <= set(properties)


def test_the_page_of_releases_is_up_to_date():
    releases = runpy.run_path(str(ROOT / "benchmarks" / "releases.py"))
    assert releases["PAGE"].read_text() == releases["page"](), (
        "python benchmarks/releases.py writes it again"
    )
