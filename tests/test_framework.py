"""A record's software: its framework's release, what it turns on, and facts by id."""

import re
from pathlib import Path

import pytest
import yaml

from estimator.catalog import kinds, loading
from estimator.catalog.records.checks import checked
from estimator.catalog.records.scenarios import mapped
from estimator.ground.errors import InputError
from estimator.validation.facts import with_facts
from estimator.validation.predictions import predict
from estimator.validation.runs import read, validate

FOLDER = kinds.data_folder() / "validation"
RECORD = {
    "id": "someone-1",
    "record": "run",
    "model": {
        "name": "llama3-8b",
        "type": "dense",
        "layers": 32,
        "hidden": 4096,
        "heads": 32,
        "kv_heads": 8,
        "ffn": 14336,
        "gated_mlp": True,
        "vocab": 128256,
    },
    "cluster": {"gpu": "H100-80GB", "gpus": 64},
    "parallel": {"tp": 2, "dp": 32},
    "batch": {"global": 64, "micro": 1, "seq_len": 4096},
    "precision": "BF16",
    "recompute": "none",
    "measured": {"step_time_s": 1.0},
}


def case(framework="", version="", **more):
    told = {"framework": {"name": framework, "version": version}} if framework else {}
    return mapped(checked(RECORD | told | more))


def software(*framework, **more):
    return case(*framework, **more).scenario.software


# ---- releases


@pytest.mark.parametrize(
    ("framework", "name"),
    [
        (("megatron-lm", "2022-05"), "megatron-lm-2022-05"),
        (("megatron-lm", "2023-01"), "megatron-lm-2022-05"),
        (("megatron-lm", "2019-01"), "megatron-lm-2021-04"),
        (("nemo", "25.03"), "nemo-25.02"),
        (("NeMo", "2026-01"), "nemo-25.09"),
        (("megatron bridge", "26.06"), "megatron-bridge-26.06"),
        (("hai-llm",), "hai-llm-2024-12"),
        (("torchtitan", "2024-12"), "torchtitan-2024-12"),
        (("fsdp2",), "pytorch-fsdp2"),
    ],
)
def test_a_framework_is_its_newest_release_that_is_not_newer(framework, name):
    assert software(*framework).name == name
    assert not case(*framework).has_default


@pytest.mark.parametrize(
    ("gpu", "framework"),
    [
        ("H100-80GB", "megatron-core"),
        ("MI300X", "primus"),
        ("TPU v5p", "maxtext"),
        ("Gaudi 2", "pytorch-fsdp2"),
    ],
)
def test_a_record_without_framework_has_its_accelerators_default(gpu, framework):
    given = {"cluster": {"gpu": gpu, "gpus": 64}}
    for told in ((), ("a framework of mine", "2025-01")):
        made = case(*told, **given)
        assert made.scenario.software.framework == framework
        assert made.has_default
        assert any("the default on" in note for note in made.assumptions)


def test_an_unknown_framework_still_dates_its_run():
    old = software("a framework of mine", "2021-06")
    assert old.name == "megatron-lm-2021-04"


def test_a_row_says_its_software_and_whether_that_is_a_default():
    rows, _ = predict("a", RECORD)
    told, _ = predict("a", RECORD | {"framework": {"name": "nemo", "version": "25.02"}})
    assert {row.to_dict()["is_default_software"] for row in rows} == {True}
    assert [(row.software, row.has_default) for row in told[:1]] == [
        ("nemo-25.02", False)
    ]


# ---- what a record turns on


def test_features_and_switches_are_those_of_the_record():
    told = {"facts": ["its log"]}
    made = software(
        "torchtitan",
        "2024-12",
        software={"with": ["compile"], "switches": {"kernels.launch": "graph"}},
        **told,
    )
    assert made.kernels.fused_norms
    assert made.kernels.launch == "graph"
    with pytest.raises(InputError, match="has no 'deepep'"):
        software("torchtitan", "2024-12", software={"with": ["deepep"]}, **told)


@pytest.mark.parametrize(
    ("software", "words"),
    [
        ({"with": "compile"}, "a list of features"),
        ({"switches": {"kernels.speed": 2}}, "there is no kernels.speed"),
        ({"loss": "fused"}, "nothing else"),
    ],
)
def test_wrong_switches_are_one_message(software, words):
    _, lost = predict("a", RECORD | {"software": software, "facts": ["its log"]})
    assert lost.is_broken
    assert words in lost.reason


def test_what_is_known_beside_a_source_says_where_from():
    for key, value in {"software": {"with": []}, "flop": {"executed": True}}.items():
        _, lost = predict("a", RECORD | {key: value})
        assert f"{key}: say under facts" in lost.reason


def test_captured_graphs_are_printed_with_the_cluster():
    graph = {"cluster": RECORD["cluster"] | {"cuda_graph": True}}
    assert software("nemo", "25.09").kernels.launch == "queued"
    assert software("nemo", "25.09", **graph).kernels.launch == "graph"


def test_fp16_is_a_recipe_of_its_own():
    texts = {"FP16 mixed": "fp16", "BF16": "bf16", "BF16/FP16 mixed": "bf16"}
    for text, recipe in texts.items():
        assert case(precision=text).scenario.precision.recipe == recipe


def test_gradients_accumulate_in_32_bits_where_that_is_printed():
    text = "BF16 (fp32 gradient accumulation)"
    assert software("nanotron", precision=text).gradients.format == "bf16+fp32"


# ---- what a framework does where a record is silent


def test_plain_fp8_is_that_of_the_framework():
    recipes = {
        name: case(*name, precision="FP8").scenario.precision.recipe
        for name in (("hai-llm", "2024-12"), ("nemo", "25.02"))
    }
    assert list(recipes.values()) == ["fp8", "fp8-tensor"]
    both = case("nemo", "25.09", precision="FP8 or NVFP4")
    assert both.scenario.precision.recipe == "fp8-tensor"
    assert any("both submitted" in note for note in both.assumptions)


def test_positions_are_those_of_a_framework_where_the_model_tells_none():
    learned, slopes, rotary = (
        case(*name).scenario.model
        for name in (
            ("megatron-lm", "2021-04"),
            ("megatron-deepspeed", "2022-02"),
            ("torchtitan", "2024-12"),
        )
    )
    assert (learned.num_learned_positions, learned.has_alibi) == (4096, False)
    assert (slopes.num_learned_positions, slopes.has_alibi) == (0, True)
    assert (rotary.num_learned_positions, rotary.has_alibi) == (0, False)
    told = {"model": RECORD["model"] | {"pos": "rotary"}}
    assert not case("megatron-lm", "2021-04", **told).scenario.model.has_alibi


def test_a_pipeline_cuts_a_local_batch():
    piped = {"parallel": {"pp": 4}, "batch": RECORD["batch"] | {"local_batch": 4}}
    del piped["batch"]["micro"]
    sizes = [
        case(*name, **piped).scenario.plan.micro_batch_size
        for name in (("torchtitan", "2024-12"), ("nemo", "25.02"))
    ]
    assert sizes == [1, 4]


def test_stages_of_nanotron_are_cut_by_weight():
    piped = {"parallel": {"tp": 8, "pp": 4, "dp": 2}}
    weighed = case("nanotron", "2024-12", **piped).scenario.plan.stage_layout
    assert weighed.count("|") == 3
    assert case("nemo", "25.02", **piped).scenario.plan.stage_layout == "even"


def test_recomputed_modules_may_be_a_list():
    assert case(recompute=["core_attn", "mlp_up"]).recompute == (
        ("core_attn", "mlp_up"),
    )
    _, lost = predict("a", RECORD | {"recompute": ["everything"]})
    assert "recompute: the modules are" in lost.reason


def test_exchanges_hide_behind_a_pair_without_a_pipeline_where_that_is_said():
    plan = case(schedule="1F1B with EP all-to-all overlap").scenario.plan
    assert (plan.schedule, plan.stages_per_rank) == ("interleaved-1f1b-overlap", 1)


def test_flop_are_those_of_the_log_where_a_framework_counts_in_its_own_way():
    dims = {"layers": 44, "hidden": 6144, "heads": 64, "ffn": 24576, "vocab": 50432}
    rows, _ = predict(
        "a",
        RECORD
        | {
            "model": {"name": "x", "type": "dense", "tied_embeddings": False, **dims},
            "cluster": {"gpu": "A100-40GB", "gpus": 96},
            "parallel": {"tp": 2, "pp": 4, "dp": 12, "zero": 1},
            "batch": {"global": 1536, "micro": 4, "seq_len": 2048},
            "measured": {"tflops_per_gpu": 117},
            "flop": {"per_parameter": 6, "per_layer_and_width": 60},
            "facts": ["its log"],
        },
    )
    # EleutherAI/gpt-neox, commit a42805b, get_flops: 20.55 billion parameters
    per_token = 6 * 20.55e9 + 60 * 44 * 6144 * 2048
    seconds = per_token * 1536 * 2048 / 96 / 117e12
    assert rows[0].measured == pytest.approx(seconds, rel=2e-3)


def test_printed_words_tell_how_flop_are_counted():
    rates = {"measured": {"tflops_per_gpu": 400}}
    full, causal, executed, said = (
        predict("a", RECORD | rates | told)[0][0].measured
        for told in (
            {"flop_convention": "non-causal"},
            {"flop_convention": "model FLOPs, causal (half) attention"},
            {"flop_convention": "hardware FLOPs"},
            {"flop": {"attention": "causal"}, "facts": ["its log"]},
        )
    )
    assert causal == said < full
    assert executed == pytest.approx(4 / 3 * full)


# ---- facts by id


def test_facts_lie_over_the_records_that_they_are_of():
    facts = [
        {"source": "a script", "of": ["a"], "batch": {"micro": 4}},
        {"source": "a log", "of": ["a", "c"], "software": {"with": ["compile"]}},
    ]
    made = with_facts([{"id": "a", "batch": {"global": 8}}, {"id": "b"}, 7], facts)
    assert made[0]["batch"] == {"global": 8, "micro": 4}
    assert made[0]["facts"] == ["a script", "a log"]
    assert made[1:] == [{"id": "b"}, 7]
    with pytest.raises(InputError, match="measured is no fact"):
        with_facts([], [{"source": "x", "of": [], "measured": {}}])


def test_our_records_hold_the_facts_that_are_of_them():
    told = {name for fact in read(FOLDER / "facts.yaml") for name in fact["of"]}
    ours = {made["id"]: made for made in read(FOLDER / "runs")}
    assert {name for name, made in ours.items() if "facts" in made} == told & set(ours)
    assert all(made["framework"] for made in ours.values())


def test_each_fact_has_a_source():
    for fact in read(FOLDER / "facts.yaml"):
        assert len(fact["source"]) > 20, fact
        assert len(set(fact["of"])) == len(fact["of"]) > 0


# ---- what a prediction must not know


def predicted(path):
    rows = validate(path, has_facts=False).rows
    return [(row.quantity, row.predicted) for row in rows]


def test_names_and_figures_change_no_prediction(tmp_path):
    sample = read(FOLDER / "runs")[::24]
    blank = [
        {**made, "id": f"x{index}", "source": "", "where": "", "notes": ""}
        | {
            key: {name: figure * 3 for name, figure in made[key].items()}
            for key in ("measured", "derived")
            if all(
                type(figure) in (int, float)
                for figure in made.get(key, {1: ""}).values()
            )
        }
        for index, made in enumerate(sample)
    ]
    old, new = tmp_path / "old.yaml", tmp_path / "new.yaml"
    old.write_text(yaml.safe_dump(sample))
    new.write_text(yaml.safe_dump(blank))
    assert len(sample) > 20
    assert predicted(new) == predicted(old)


def test_no_record_is_named_where_predictions_are_made():
    ids = {made["id"] for made in read(FOLDER / "runs")}
    root = Path(loading.__file__).parents[2]
    for path in (*root.glob("estimator/**/*.py"), *root.glob("software/*.yaml")):
        words = set(re.findall(r"[\w.+-]+", path.read_text()))
        assert not words & ids, path
