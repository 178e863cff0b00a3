"""What frameworks refuse is refused where it is written; ranges take the nearest."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estimator.catalog import kinds, loading
from estimator.catalog.nearest import nearest
from estimator.explore.comparison import compare
from estimator.explore.plan.search import plan
from estimator.explore.plan.space import shapes
from estimator.explore.sweeps import sweep
from estimator.ground.errors import InputError
from estimator.specs.fit import frameworks

TEXT = """
name: small
model:
  base: llama-3-8b
  name: small
  attention: {kind: gqa, num_heads: 24, num_kv_heads: 3, head_dim: 128}
cluster: {node: hgx-h100, fabric: ib-ndr-rail-optimised, num_gpus: 8}
plan: {zero: 3}
precision: bf16
recompute: full
price: h100-lambda-2024-09
phases: [{name: p, num_tokens: 1e9, seq_len: 4096, global_batch_size: 64}]
"""
BATCH = "phases.0.global_batch_size"


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("small") / "small.yaml"
    path.write_text(TEXT, encoding="utf-8")
    return str(path)


REFUSED = {
    # torchtitan, issue 2577
    "KV heads": (["plan.tp=2"], "tp 2 neither divides 3 KV heads", {"plan.tp": [1]}),
    "KV heads of another count": (
        ["plan.tp=4", "model.attention.num_kv_heads=6"],
        "tp 4 neither divides 6 KV heads nor is a multiple of them",
        {"plan.tp": [2]},
    ),
    "a batch": ([f"{BATCH}=30"], "do not split into micro-batches", {BATCH: [32, 24]}),
    "micro-batches": (
        ["plan.micro_batch_size=3"],
        "micro-batches of 3 on 8 replicas",
        {BATCH: [72, 48]},
    ),
    "nodes": (
        ["cluster.num_gpus=12", f"{BATCH}=48"],
        "12 GPUs are not whole nodes of 8",
        {"cluster.num_gpus": [16, 8]},
    ),
    "a sequence": (
        ["plan.cp=4", "phases.0.seq_len=4100"],
        "2 x cp 4 does not divide a sequence of 4100 tokens",
        {"phases.0.seq_len": [4104, 4096]},
    ),
    "a block": (
        ["model=llama-3-8b", "plan.tp=4", "model.mlp.ffn_hidden_size=14338"],
        "tp 4 does not divide ffn_hidden_size, 14338",
        {},
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_frameworks_refuse_is_refused_with_what_they_take(small, case):
    overrides, words, remedies = REFUSED[case]
    with pytest.raises(InputError) as error:
        loading.load_scenario(small, overrides)
    assert words in str(error.value)
    for path, values in remedies.items():
        said = " or ".join(map(str, values))
        assert (
            f"try {path.removeprefix('phases.0.').removeprefix('cluster.')}: "
            in str(error.value)
        )
        assert said in str(error.value)
        for value in values:
            loading.load_scenario(small, [*overrides, f"{path}={value}"])


@pytest.mark.parametrize(
    ("name", "written", "remedy"),
    [
        ("deepseek-v3", "cluster.num_gpus=2050", "cluster.num_gpus=2048"),
        ("gpt3-175b", "cluster.num_gpus=1032", "cluster.num_gpus=1024"),
        ("llama-3.1-405b", "cluster.num_gpus=16392", "cluster.num_gpus=16384"),
        ("deepseek-v3", "plan.tp=3", "plan.tp=2"),
    ],
)
def test_what_was_written_is_blamed_and_the_nearest_that_runs_is_named(
    name, written, remedy
):
    with pytest.raises(InputError) as error:
        loading.load_scenario(name, [written])
    path, value = remedy.split("=")
    assert f"--set: {path}: " in error.value.where[0]
    assert error.value.where[0].endswith(f"{path.removeprefix('cluster.')}: {value}")
    loading.load_scenario(name, [remedy])


@pytest.mark.parametrize(
    "overrides",
    [
        ["cluster.num_gpus=4"],  # a part of a node
        ["cluster.num_gpus=6", f"{BATCH}=60"],
        [
            "model=llama-3-8b",
            "plan.tp=16",
            "cluster.num_gpus=16",
        ],  # copies of 8 KV heads
        ["plan.cp=4", "phases.0.seq_len=4104"],
    ],
)
def test_what_frameworks_take_is_taken(small, overrides):
    assert not list(frameworks(loading.load_scenario(small, overrides)))


def test_a_batch_that_grows_is_looked_at_where_it_has_grown(small):
    growing = f"{BATCH}={{ramp: {{from: 3, to: 64, over_tokens: 1e8}}}}"
    assert loading.load_scenario(small, [growing]).phases
    with pytest.raises(InputError, match="30 sequences"):
        loading.load_scenario(small, [growing.replace("64", "30")])


def test_every_built_in_scenario_and_variant_starts():
    for name in kinds.names("scenario"):
        variants = loading.load_scenario(name).variants
        for variant in variants:
            loading.load_scenario(f"{name}@{variant}")


def test_a_sweep_takes_the_nearest_that_runs_and_says_so(small):
    made = sweep(small, ["cluster.num_gpus=8,12,13,16"])
    assert list(made.columns["cluster.num_gpus"]) == [8, 12, 13, 16]
    assert list(made.columns["adjusted"]) == [
        "",
        "num_gpus 12 -> 8",
        "num_gpus 13 -> 16",
        "",
    ]
    step_s = made.columns["step_s"]
    assert step_s[1] == step_s[0]
    assert step_s[2] == step_s[3]
    assert made.summary()["num_adjusted"] == 2
    assert not made.summary()["reasons"]


def test_a_batch_follows_what_is_varied(small):
    made = sweep(small, ["plan.micro_batch_size=1,3"])
    assert list(made.columns["adjusted"]) == ["", "global_batch_size 64 -> 72"]
    ramp = f"{BATCH}={{ramp: {{from: 8, to: 64, over_tokens: 1e8}}}}"
    made = sweep(small, ["plan.micro_batch_size=3"], [ramp])
    assert list(made.columns["adjusted"]) == ["global_batch_size 64 -> 72"]


@pytest.mark.slow
def test_the_readme_s_sweep_answers_at_every_point(tmp_path):
    made = sweep(
        "deepseek-v3",
        [
            "cluster.fabric.bytes_per_s=25 GB/s:100 GB/s:3",
            "cluster.num_gpus=1024:10240:10",
        ],
    )
    assert made.num_fitting == len(made) == 30
    told = dict(
        zip(made.columns["cluster.num_gpus"], made.columns["adjusted"], strict=True)
    )
    assert told[7168] == "global_batch_size 15360 -> 15232"
    assert not told[8192]


@pytest.mark.slow
def test_compare_takes_the_nearest_of_what_is_varied_only(small, run, tmp_path):
    made = compare([small], ["cluster.num_gpus=8,12"])
    assert made.adjusted == ("", "num_gpus 12 -> 8")
    assert made.reports[0].gpu_hours == made.reports[1].gpu_hours
    told = run("compare", small, "--vary", "cluster.num_gpus=8,12")
    assert "num_gpus 12 -> 8" in told.out
    out = ("--out", str(tmp_path / "both.csv"))
    assert run("compare", small, "--vary", "cluster.num_gpus=8,12", *out).status == 0
    assert "num_gpus 12 -> 8" in (tmp_path / "both.csv").read_text(encoding="utf-8")
    told = run("compare", small, "--vary", "cluster.num_gpus=8,12", "--json")
    assert [row["adjusted"] for row in told.json["scenarios"]] == ["", made.adjusted[1]]
    refused = run(
        "compare", small, "--vary", "cluster.num_gpus=8,16", "--set", "plan.tp=2"
    )
    assert refused.status == 2


def test_a_step_between_two_scenarios_need_not_start():
    made = compare(["deepseek-v3"], ["cluster.num_gpus=2048,7168"])
    assert len(made.shares) == 2  # GPUs, and the batch that followed


@pytest.mark.slow
@settings(max_examples=60)
@given(
    num_gpus=st.integers(1, 40),
    tp=st.integers(1, 9),
    pp=st.integers(1, 5),
    batch=st.integers(1, 99),
    seq_len=st.integers(4090, 4100),
)
def test_the_nearest_starts_and_a_scenario_that_starts_is_its_own(
    small, num_gpus, tp, pp, batch, seq_len
):
    asked = {
        "cluster.num_gpus": num_gpus,
        "plan.tp": tp,
        "plan.pp": pp,
        BATCH: batch,
        "phases.0.seq_len": seq_len,
    }
    overrides = [f"{path}={value}" for path, value in asked.items()]
    document = loading.scenario_document(small, overrides)
    found = nearest(document, "small", asked)
    assert not list(frameworks(found.scenario))
    again = nearest(found.document, "small", asked)
    assert not again.adjusted
    assert again.scenario == found.scenario
    if not found.adjusted:
        assert found.scenario == loading.load_scenario(small, overrides)


def test_plans_are_cut_as_frameworks_cut(small):
    found = {shape.tp for shape in shapes(loading.load_scenario(small))}
    assert found == {1}  # 3 KV heads
    with pytest.raises(InputError, match="12 GPUs are not whole nodes") as error:
        plan(small, gpus=[12])
    assert error.value.fix == "--gpus 16 or --gpus 8"
