"""A scenario that is written as a file is the same scenario when it is read."""

from dataclasses import replace

import pytest
from loops import each

from estimator.catalog import kinds, loading
from estimator.catalog.writing import scenario_yaml

PATCHES = (
    "cluster.num_gpus=4096",
    "cluster.fabric.bytes_per_s=25GB/s",
    "price.usd_per_gpu_hour=3.42",
    "precision.recipe=bf16",
    "recompute=none",
    "cluster.node.gpu.achievable.gemm.fp8.value=0.9",
    "cluster.node.gpu.achievable.hbm=0.7",
    "cluster.node.collectives.launch_s=5e-6",
    "phases.0.seq_len=8192",
)
CASES = [
    *((name, ()) for name in kinds.names("scenario")),
    ("deepseek-v3@1f1b+bf16+ib-200g", ()),
    ("deepseek-v3", PATCHES),
    ("deepseek-v3", ("model=mixtral-8x7b", "plan.stage_layout=even", "plan.ep=8")),
    ("deepseek-v3", ("price=owned-h800",)),
    ("llama-3.1-405b", ("cluster.node=hgx-b200", "power=france")),
    ("gpt3-175b@fused-attention", ("software.kernels.launch=graph",)),
    ("deepseek-v3", ("cluster.node=tpu-ironwood-pod", "cluster.fabric=tpu-dcn")),
]


def read(text, folder):
    path = folder / "mine.yaml"
    path.write_text(text)
    return replace(loading.load_scenario(str(path)), variants={})


@pytest.mark.slow
@each("has_base", [True, False])
@each(("name", "patches"), CASES)
def test_what_is_written_is_read_as_the_same(name, patches, has_base, tmp_path):
    scenario = loading.load_scenario(name, patches)
    text = scenario_yaml(scenario, name.partition("@")[0] if has_base else "")
    assert read(text, tmp_path) == replace(scenario, variants={})


@pytest.mark.slow
def test_every_built_in_node_is_written_whole(tmp_path):
    base = loading.load_scenario("deepseek-v3")
    for node in kinds.names("node"):
        patched = loading.load_scenario("deepseek-v3", [f"cluster.node={node}"])
        changed = replace(patched.cluster.node, name="mine")
        made = replace(
            base,
            cluster=replace(base.cluster, node=changed),
            software=patched.software,
            variants={},
        )
        assert read(scenario_yaml(made, "deepseek-v3"), tmp_path) == made


def test_only_what_differs_is_written():
    scenario = loading.load_scenario("deepseek-v3", ["cluster.num_gpus=4096"])
    written = scenario_yaml(scenario, "deepseek-v3")
    assert written == "base: deepseek-v3\ncluster:\n  num_gpus: 4096\n"


def test_words_that_look_like_numbers_stay_words(tmp_path):
    scenario = replace(
        loading.load_scenario("gpt3-175b"), name="1e9", question="no", variants={}
    )
    assert read(scenario_yaml(scenario), tmp_path) == scenario
