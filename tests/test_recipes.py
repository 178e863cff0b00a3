"""Plans from scripts, and what recipes do with experts."""

import pytest

from estimator.catalog.records.recipes import with_recipe
from estimator.catalog.records.scenarios import mapped
from estimator.catalog.records.software import has_fused_experts

MIXTRAL = {
    "id": "moezoo-x",
    "model": {"name": "mixtral-8x22b"},
    "cluster": {"gpu": "H100-80GB"},
    "batch": {"seq_len": 4096},
    "precision": "BF16",
}


def test_a_source_that_prints_no_plan_has_that_of_its_script():
    made, notes = with_recipe(MIXTRAL)
    assert made["parallel"]["vp"] == 7
    assert made["batch"] == {"micro": 1, "global": 256, "seq_len": 4096}
    assert "script" in notes[0]


@pytest.mark.parametrize(
    "more", [{"id": "other-x"}, {"parallel": {"tp": 1}}, {"cluster": {"gpu": "A100"}}]
)
def test_scripts_fill_nothing_else(more):
    record = MIXTRAL | more
    assert with_recipe(record) == (record, [])


def test_what_is_printed_stays():
    made, _ = with_recipe(MIXTRAL | {"batch": {"seq_len": 4096, "global": 512}})
    assert made["batch"]["global"] == 512


# ---- expert exchanges


def record(**more):
    """A run of Qwen3-30B as NVIDIA prints it."""
    return {
        "id": "mbridge-x",
        "where": "26.06 NeMo Container",
        "model": {
            "name": "qwen3",
            "type": "moe",
            "layers": 4,
            "hidden": 2048,
            "heads": 32,
            "kv_heads": 4,
            "head_dim": 128,
            "experts": 128,
            "top_k": 8,
            "moe_ffn": 768,
            "gated_mlp": True,
            "vocab": 32000,
        },
        "cluster": {"gpu": "GB200", "gpus": 8, "interconnect": "NVL72"},
        "parallel": {"ep": 8},
        "precision": "MXFP8",
        "batch": {"global": 512, "seq_len": 4096, "micro": 4},
        "measured": {"step_time_s": 1.0},
        "kind": "moe",
    } | more


def test_recipes_fuse_experts_from_a_release_on_and_hide_their_exchanges():
    plan = mapped(record()).scenario.plan
    assert software.experts.fused
    assert plan.schedule == "interleaved-1f1b-overlap"
    assert software.kernels.launch == "graph"


@pytest.mark.parametrize(
    "more",
    [{"where": "25.11 NeMo Container"}, {"precision": "BF16"}, {"id": "moezoo-x"}],
)
def test_other_releases_formats_and_sources_do_not(more):
    made = record(**more)
    assert not has_fused_experts(made, made["id"].split("-")[0])


@pytest.mark.parametrize(
    ("source", "notes", "dispatch"),
    [
        ("moezoo", "dispatcher DeepEP", "deduplicated"),
        ("moezoo", "dispatcher A2A", "all-to-all"),
        ("pfold", "", "all-to-all"),
        ("mine", "HybridEP", "deduplicated"),
    ],
)
def test_tokens_travel_as_the_source_says(source, notes, dispatch):
    made = record(id=f"{source}-x", notes=notes)
    assert mapped(made).scenario.software.experts.dispatch == dispatch
