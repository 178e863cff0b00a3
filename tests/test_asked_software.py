"""What a person asks of a scenario's software, and what the answer says of it."""

import json

import pytest
import yaml
from loops import each
from typer.testing import CliRunner

from estimator.answer.api import estimate
from estimator.catalog import kinds
from estimator.catalog.loading import load_scenario
from estimator.catalog.writing import scenario_yaml
from estimator.explore.comparison import compare
from estimator.explore.sweeps import sweep
from estimator.faces.cli.main import cli
from estimator.ground.errors import InputError
from estimator.show.tables import compare as tables
from estimator.specs.software import switch_paths

TPU = ("cluster.node=tpu-ironwood-pod", "cluster.fabric=tpu-dcn")
OWN = {
    "name": "own",
    "model": "llama-3-8b",
    "cluster": {
        "node": "hgx-h100",
        "fabric": "ib-ndr-rail-optimised",
        "num_gpus": 8,
    },
    "plan": {"tp": 2},
    "precision": "bf16",
    "price": "h100-lambda-2024-09",
    "phases": [
        {
            "name": "p",
            "num_tokens": "1e9",
            "seq_len": 4096,
            "global_batch_size": 16,
        }
    ],
    "variants": {"amd": {"cluster.node": "mi300x-x8"}},
}


def said(name, *overrides):
    """Return what an answer says in words."""
    report = estimate(name, overrides, has_range=False, is_played=False)
    return [row.value for row in report.assumptions if isinstance(row.value, str)]


@each(
    ("asked", "words"),
    [
        ("software=megatron-core-2025-9", "try 'megatron-core-2025-09'"),
        ("software={base: nobody}", "there is no software called 'nobody'"),
        ("software.with=[warp]", "has no feature called 'warp'\n.*\n.*it offers: "),
        ("software.with=warp", r"write a list of features.*\n.*\n.*with: \[warp\]"),
        ("software.kernels.attention=quick", "should be 'fused', 'flash-2', 'flash-1'"),
        ("software.kernels.atention=fused", "did you mean 'attention'"),
        ("software=primus-2025-10", "Primus .* does not run on NVIDIA H800 .* amd"),
        ("software.sources=1", "software.sources: write a mapping"),
        ("software=[]", "software: write a name of estimator list software or a map"),
        ("cluster.node=1", "cluster.node: write a name of estimator list node or"),
        (
            "software.base=pytorch-fsdp2",
            r"files only\n.*\n.*\n.*software=pytorch-fsdp2",
        ),
        ("software.kernels=1", "software.kernels: write a mapping"),
        ("software.release=x", "write 2024-12 or 24.12"),
    ],
)
def test_what_cannot_be_asked_is_said_in_one_message(asked, words):
    with pytest.raises(InputError, match=words):
        load_scenario("deepseek-v3", [asked])


def test_a_release_and_an_accelerator_that_lacks_it_are_refused_together():
    with pytest.raises(InputError, match=r"HAI-LLM.* does not run on Google TPU7x"):
        load_scenario("deepseek-v3", [*TPU, "software=hai-llm-2024-12"])


def test_a_feature_is_turned_on_over_what_is_asked_with_it():
    asked = ["software=pytorch-fsdp2", "software.with=[compile]"]
    made = load_scenario("deepseek-v3", asked).software
    assert made.kernels.fused_norms
    assert made.status["kernels.fused_norms"] == "read"


def test_software_that_gives_way_is_said_whatever_is_set_besides():
    (gave_way,) = (each for each in said("deepseek-v3", *TPU) if "instead" in each)
    assert gave_way.startswith("HAI-LLM, December 2024")
    assert gave_way in said("deepseek-v3", *TPU, "cluster.num_gpus=4096")
    assert gave_way not in said("deepseek-v3", *TPU, "software=maxtext-2025-04")


@pytest.mark.parametrize(
    ("overrides", "default"),
    [
        ((), "Megatron-Core"),
        (("software.kernels.launch=graph",), "Megatron-Core"),
        (("cluster.num_gpus=16",), "Megatron-Core"),
        (TPU, "MaxText"),
        (("software=pytorch-fsdp2",), ""),
    ],
)
def test_a_default_is_said_as_long_as_it_is_one(overrides, default):
    told = [each for each in said(OWN, *overrides) if "No software was named" in each]
    assert [each.split(": ")[1].startswith(default) for each in told] == (
        [True] if default else []
    )


def test_the_answer_names_its_release_and_each_switch_that_is_set():
    report = estimate("deepseek-v3", ["software.kernels.launch=blocking"])
    assert report.to_dict()["software"] == "hai-llm-2024-12"
    rows = [row for row in report.assumptions if row.layer == "software"]
    known, asked = rows
    assert f"of {len(switch_paths())} switches" in known.value
    assert known.value.count("1 set over it") == 1
    assert asked.name == "software.kernels.launch"
    assert asked.status == "set"
    assert asked.value.startswith("software.kernels.launch is blocking")


def test_switches_of_a_variant_have_not_the_source_of_the_release():
    made = load_scenario("gpt3-175b@fused-attention").software
    assert made.status["kernels.attention"] == "asked"


SAVED = {
    (): "hai-llm-2024-12",
    ("software=pytorch-fsdp2",): "pytorch-fsdp2",
    ("software=pytorch-fsdp2", "software.with=[compile]"): {
        "base": "pytorch-fsdp2",
        "with": ["compile"],
    },
    ("software.gradients.passes=[check]",): {
        "base": "hai-llm-2024-12",
        "gradients": {"passes": ["check"]},
    },
    ("software.experts.num_comm_sms=null",): {
        "base": "hai-llm-2024-12",
        "experts": {"num_comm_sms": None},
    },
    TPU: "maxtext-2025-12",
}


@pytest.mark.parametrize("has_base", [True, False])
def test_a_saved_scenario_says_of_its_software_what_differs(has_base, tmp_path):
    path = tmp_path / "saved.yaml"
    for overrides, wanted in SAVED.items():
        made = load_scenario("deepseek-v3", overrides)
        path.write_text(scenario_yaml(made, "deepseek-v3" if has_base else ""))
        written = yaml.safe_load(path.read_text())
        assert written.get("software") == (
            wanted if overrides or not has_base else None
        )
        assert load_scenario(path).software == made.software


def test_a_release_of_somebodys_own_is_saved_over_the_built_in_one(tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text(
        "base: nanotron-2024-12\nname: mine\nkernels: {launch: graph}\n"
        "sources: {kernels.launch: 'assumed: I say so'}\n"
    )
    made = load_scenario("deepseek-v3", [f"software={own}"])
    path = tmp_path / "saved.yaml"
    path.write_text(scenario_yaml(made, "deepseek-v3"))
    assert yaml.safe_load(path.read_text())["software"] == {
        "base": "nanotron-2024-12",
        "name": "mine",
        "kernels": {"launch": "graph"},
        "sources": {"kernels.launch": "assumed: I say so"},
    }
    assert load_scenario(path).software == made.software


def test_a_release_over_a_scenario_with_switches_keeps_none_of_them(tmp_path):
    base = tmp_path / "base.yaml"
    base.write_text(scenario_yaml(load_scenario("gpt3-175b@fused-attention")))
    over = tmp_path / "over.yaml"
    over.write_text(f"base: {base}\nsoftware: {{base: pytorch-fsdp1}}\n")
    made = load_scenario(over).software
    assert "asked" not in made.status.values()
    assert made.name == "pytorch-fsdp1"


def test_releases_are_one_cause_and_switches_of_one_release_one_each():
    names = ["hai-llm-2024-12", "megatron-core-2024-11", "pytorch-fsdp2"]
    made = compare("deepseek-v3", f"software={','.join(names)}")
    assert [share.input for share in made.shares] == [
        f"software: {names[0]} -> {name}" for name in names[1:]
    ]
    (second, third) = made.shares
    first, *others = made.reports
    for share, other in zip((second, third), others, strict=True):
        assert share.gpu_hours == pytest.approx(other.gpu_hours - first.gpu_hours)
    apart = compare(["gpt3-175b", "gpt3-175b@fused-attention"])
    assert {share.input.partition(":")[0] for share in apart.shares} == {
        "software.kernels.attention",
        "recompute",
    }


def test_features_are_varied_and_their_sources_are_no_cause(tmp_path):
    features = "software.with=[compile],[]"
    made = compare(OWN, features, ["software=pytorch-fsdp2"])
    assert "software.kernels.fused_norms" in str([share.input for share in made.shares])
    assert not [share for share in made.shares if "sources" in share.input]
    out = tmp_path / "rows.csv"
    rows = sweep(OWN, features, ["software=pytorch-fsdp2"], out=out).frame()
    steps = [report.step.step_s for report in made.reports]
    assert rows["step_s"].tolist() == pytest.approx(steps)


def test_what_a_plan_takes_from_its_software_is_part_of_that_cause():
    made = compare(OWN, "software=megatron-lm-2021-04,pytorch-fsdp2")
    before, after = made.scenarios
    assert before.plan.zero != after.plan.zero
    (share,) = made.shares
    assert share.input == "software: megatron-lm-2021-04 -> pytorch-fsdp2"


def test_the_comparison_of_software_is_printed_with_its_causes(capsys):
    made = compare("deepseek-v3", "software=hai-llm-2024-12,megatron-bridge-26.02")
    tables.print_comparison(made, has_notes=True)
    assert (
        "software: hai-llm-2024-12 -> megatron-bridge-26.02" in capsys.readouterr().out
    )


def test_the_list_counts_how_each_switch_is_known():
    rows = json.loads(CliRunner().invoke(cli, ["list", "software", "--json"]).stdout)
    assert len(rows) >= 35
    assert [row["name"] for row in rows] == kinds.names("software")
    for row in rows:
        assert sum(row["switches"].values()) == len(switch_paths())
        assert set(switch_paths()) <= set(row["sources"])


def test_the_schema_takes_every_release_as_it_is_written():
    made = json.loads(CliRunner().invoke(cli, ["schema", "software"]).stdout)
    assert made["required"] == []
    assert {"base", "with"} <= set(made["properties"])
    scenario = json.loads(CliRunner().invoke(cli, ["schema", "scenario"]).stdout)
    assert "software" not in scenario["required"]


def test_a_plan_is_searched_under_the_software_that_is_asked():
    made = CliRunner().invoke(cli, ["plan", "gpt3-175b", "--software", "nobody"])
    assert "there is no software called 'nobody'" in str(made.exception)
