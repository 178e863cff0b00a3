"""Records of sources, accelerators and models that no rule was written for."""

import pytest
from loops import each

from estimator.catalog.records.checks import checked
from estimator.catalog.records.clusters import kind
from estimator.catalog.records.scenarios import mapped
from estimator.costs.flop import flop_per_token
from estimator.costs.rates import half_precision
from estimator.validation.predictions import predict

ACCELERATORS = {
    "A100-40GB": 8,
    "GH200": 4,
    "H200": 8,
    "B200": 8,
    "B300": 8,
    "GB200": 4,
    "GB300": 4,
    "MI300X": 8,
    "MI325X": 8,
    "MI355X": 8,
    "TPU v5p": 4,
    "TPU v6e": 8,
    "Gaudi 2": 8,
}
"""Accelerator -> how many a node has."""
DENSE = {
    "name": "llama3-8b",
    "type": "dense",
    "layers": 32,
    "hidden": 4096,
    "heads": 32,
    "kv_heads": 8,
    "ffn": 14336,
    "gated_mlp": True,
    "vocab": 128256,
}
LARGE = DENSE | {
    "name": "llama3-70b",
    "layers": 80,
    "hidden": 8192,
    "heads": 64,
    "ffn": 28672,
}
SPARSE = {key: value for key, value in DENSE.items() if key != "ffn"} | {
    "name": "mixtral-8x7b",
    "type": "moe",
    "experts": 8,
    "top_k": 2,
    "moe_ffn": 14336,
    "shared_experts": 0,
    "shared_ffn": 0,
    "vocab": 32000,
}
HYBRID = DENSE | {"name": "own-hybrid", "type": "hybrid"}


def record(model=DENSE, gpu="H100-80GB", num_gpus=64, **changes):
    made = {
        "id": "newcomer-1",
        "record": "run",
        "model": dict(model),
        "cluster": {
            "gpu": gpu,
            "gpus": num_gpus,
            "gpus_per_node": ACCELERATORS.get(gpu, 8),
        },
        "parallel": {"zero": "FSDP", "fsdp": 64},
        "batch": {"global": 128, "micro": 2, "seq_len": 4096},
        "precision": "BF16",
        "recompute": "full",
        "measured": {"tokens_per_s_per_gpu": 5000.0},
    }
    made |= changes
    return {key: value for key, value in made.items() if value is not None}


def scenario(made):
    return mapped(checked(made)).scenario


def prediction(made):
    """Return the row of the step time; any record must have one."""
    rows, lost = predict(made["id"], made)
    assert lost is None, lost
    (row,) = (row for row in rows if row.quantity == "step_s")
    return row


def mfu(made):
    row, case = prediction(made), scenario(made)
    batch, gpu = case.phases[0].global_batch_size.final, case.cluster.node.gpu
    seq_len = made["batch"]["seq_len"]
    flop = flop_per_token(case.model, seq_len, is_causal=True) * batch * seq_len
    peak = gpu.peak_flop_per_s[half_precision(gpu)]
    return flop / row.predicted / row.num_gpus / peak


def is_sane(made):
    return 0.05 < mfu(made) < 0.75


# ---- accelerators


@pytest.mark.parametrize("gpu", ACCELERATORS)
def test_fsdp_is_predicted_on_every_accelerator(gpu):
    assert is_sane(record(gpu=gpu))


@each("gpu", ACCELERATORS)
def test_a_large_model_behind_a_pipeline_is_predicted_on_every_accelerator(gpu):
    plan = {"tp": 4, "pp": 4, "zero": "distributed optimizer"}
    batch = {"global": 128, "micro": 1, "seq_len": 4096}
    assert is_sane(record(LARGE, gpu, parallel=plan, batch=batch, schedule="1F1B"))


@pytest.mark.parametrize("gpu", ACCELERATORS)
def test_experts_are_predicted_on_every_accelerator(gpu):
    plan = {"pp": 4, "ep": 8, "zero": 1}
    assert is_sane(record(SPARSE, gpu, parallel=plan, schedule="interleaved 1F1B"))


@pytest.mark.slow
@pytest.mark.parametrize("gpu", ACCELERATORS)
def test_only_what_can_be_relied_on_is_enough(gpu):
    made = record(LARGE, gpu, 256, parallel=None, precision=None, recompute=None)
    made["batch"] = {"seq_len": 8192}
    assert is_sane(made)
    notes = " ".join(prediction(made).assumptions)
    for words in ("batch", "plan", "precision", "recomputation", "micro-batch"):
        assert f"{words} is" in notes, words


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("A100-SXM4-40GB", "a10040gb"),
        ("NVIDIA A100 80GB", "a100"),
        ("H200-141GB", "h200"),
        ("GB200 NVL72", "gb200"),
        ("GB300", "gb300"),
        ("GH200-96GB", "gh200"),
        ("AMD Instinct MI300X", "mi300x"),
        ("Intel Gaudi2", "gaudi2"),
        ("Google Cloud TPU v5p", "tpuv5p"),
        ("Trillium", "tpuv6e"),
        ("H100-96GB-500W", "h10096gb500w"),
    ],
)
def test_accelerators_are_known_by_their_usual_names(text, key):
    assert kind(text) == key


@pytest.mark.parametrize("gpu", ["TPU v5p", "TPU v6e"])
def test_chips_of_one_pod_need_no_network(gpu):
    made = scenario(record(gpu=gpu, num_gpus=128)).cluster
    assert made.node.scaleup_gpus >= 256
    assert made.fabric.name == "tpu-dcn"


# ---- models


@pytest.mark.parametrize(
    "told",
    [
        {"sliding_window": 1024},
        {"sliding_window": "1,024 tokens"},
        {"attention": "sliding window 1024"},
        {"note": "SWA of 1K"},
        {"sliding_window": 1024, "local_global_ratio": "5:1"},
        {"attention_chunk_size": 1024},
    ],
)
def test_a_window_makes_long_sequences_cheaper(told):
    batch = {"global": 64, "micro": 1, "seq_len": 32768}
    narrow = record(DENSE | {"name": "own"} | told, batch=batch)
    wide = record(DENSE | {"name": "own"}, batch=batch)
    assert prediction(narrow).predicted < 0.9 * prediction(wide).predicted
    assert is_sane(narrow)


@pytest.mark.parametrize(
    ("told", "pattern"),
    [
        ({"hybrid_override_pattern": "M-M*-"}, "M-M*-"),
        ({"layers": 4, "mamba_layers": 3, "attention_layers": 1}, "M-M-*-M-"),
        ({"layers": 6, "mamba_layers": 2, "attention_layers": 1}, "M-*-M-"),
    ],
)
def test_hybrid_layers_are_read(told, pattern):
    made = record(HYBRID | told)
    assert scenario(made).model.hybrid_pattern == pattern
    assert is_sane(made)


def test_a_hybrid_of_experts_is_predicted():
    made = record(SPARSE | {"name": "own", "mamba_layers": 28, "attention_layers": 4})
    assert set(scenario(made).model.hybrid_pattern) == {"M", "E", "*"}
    assert is_sane(made)


def test_a_hybrid_whose_layers_are_not_told_says_so():
    notes = prediction(record(HYBRID)).assumptions
    assert "which layers are not attention is not printed: all are" in notes


def test_a_built_in_hybrid_is_known_by_the_beginning_of_its_name():
    model = {"name": "nemotron-3-nano", "layers": 52, "hidden": 2688, "heads": 32}
    made = record(model | {"vocab": 131072})
    assert scenario(made).model.mamba is not None
    assert is_sane(made)
    cut = record(model | {"vocab": 131072, "layers": 13})
    assert len(scenario(cut).model.hybrid_pattern) == 13


# ---- precisions


@each("text", ["FP8", "MXFP8", "NVFP4", "FP16", "INT8", "TF32", "FP8 delayed", "odd"])
@each("gpu", ["A100-40GB", "H200", "B200", "MI300X", "TPU v6e"])
def test_a_precision_that_an_accelerator_lacks_is_replaced(text, gpu):
    made = record(gpu=gpu, precision=text)
    assert 0.05 < mfu(made) < 1.5  # of the 16-bit peak
    if text in ("NVFP4", "MXFP8") and gpu in ("A100-40GB", "TPU v6e"):
        assert any("has no rate of" in note for note in prediction(made).assumptions)


# ---- plans and batches


@pytest.mark.parametrize(
    ("plan", "zero", "shard"),
    [
        ({"zero": "HSDP", "fsdp": 8}, 3, 8),
        ({"dp_shard": 8, "dp_replicate": 8}, 3, 8),
        ({"fsdp": True}, 3, 0),
        ({"zero": "3"}, 3, 0),
        ({"sharding": "HYBRID_SHARD"}, 3, 0),
        ({"tp": 2}, 1, 0),
        ({"dp": 64}, 1, 0),
    ],
)
def test_sharding_is_read_under_its_many_names(plan, zero, shard):
    made = scenario(record(parallel=plan)).plan
    assert (made.zero, made.dp_shard) == (zero, shard)


def test_the_batch_follows_from_the_accumulation():
    made = record(parallel={"tp": 8, "pp": 2, "zero": 1})
    made["batch"] = {"micro": 2, "grad_accum": 16, "seq_len": 4096}
    assert scenario(made).phases[0].global_batch_size.final == 4 * 2 * 16


def test_gpus_that_are_not_printed_are_assumed_only_for_a_figure_of_one_gpu():
    made = record()
    made["cluster"] = {"gpu": "H100"}
    assert prediction(made).num_gpus == 1024
    made["measured"] = {"step_time_s": 1.0}
    rows, lost = predict("newcomer-1", made)
    assert (rows, lost.reason) == (
        (),
        "the source prints no number of GPUs (cluster.gpus)",
    )
    made["parallel"] = {"dp": 16, "tp": 4}
    assert prediction(made).num_gpus == 64


def test_gpu_hours_per_token_are_a_step_time():
    made = record(measured={"gpu_hours_per_T_tokens": 1e5})
    tokens = 128 * 4096
    assert prediction(made).measured == pytest.approx(1e5 * 3600 * tokens / 1e12 / 64)


@pytest.mark.slow
def test_without_a_plan_the_fastest_that_fits_is_taken():
    small = record(
        parallel=None, recompute=None, batch={"global": 512, "seq_len": 4096}
    )
    large = record(
        LARGE, parallel=None, recompute=None, batch={"global": 512, "seq_len": 4096}
    )
    sharded = record(LARGE, parallel=None, schedule="FSDP; no pipeline")
    for made in (small, large):
        chosen = prediction(made)
        tried = [
            prediction(made | {"parallel": {"tp": tp, "pp": pp, "zero": 1}}).predicted
            for tp, pp in ((4, 4), (4, 8), (8, 2), (8, 4))  # all of these fit
        ]
        assert chosen.predicted <= min(tried) * (1 + 1e-9)
    assert prediction(sharded).axes == "fsdp"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("activation checkpointing", (("full",),)),
        ("full remat", (("full",),)),
        ("full, 10 of 32 layers", (("full",),)),
        (True, (("full",),)),
        ("no", ((),)),
        ("off", ((),)),
        ("no rematerialisation", ((),)),
        ("selective: layernorm, moe_act (remat)", (("layernorm", "moe_act"),)),
        ("remat: mlp, core_attn", (("mlp", "core_attn"),)),
        ("MaxText remat: full", (("full",),)),
        ("rematerialisation of everything", (("full",),)),
        ("selective, as the recipe at HEAD", (("core_attn",),)),
        ("recipe at HEAD recomputes mla_up_proj", (("mla_up_proj",),)),
        ("full (recipe at HEAD)", (("full",),)),
        ("recipe at HEAD: modules=[mlp]; may differ", ((), ("mlp",))),
        ("recipe at HEAD: granularity=full; may differ", ((), ("full",))),
        ("recipe at HEAD (067f): modules=[]", ((),)),
        ("recipe at HEAD: recipe sets none; may differ", ((),)),
    ],
)
def test_recomputation_is_read_in_other_words(text, expected):
    assert mapped(checked(record(recompute=text))).recompute == expected


@pytest.mark.parametrize(
    ("schedule", "name"),
    [
        ("ZBV", "zb-v"),
        ("DualPipeV", "dualpipe-v"),
        ("GPipe", "gpipe"),
        ("1F1B, something new", "1f1b"),
        ("looped BFS", "1f1b"),
    ],
)
def test_schedules_are_read_in_other_words(schedule, name):
    made = record(parallel={"pp": 8, "zero": 1}, schedule=schedule)
    assert scenario(made).plan.schedule == name
    assert is_sane(made)


def test_pods_that_are_printed_are_scale_up_domains():
    text = "2 pods x 3072, ICI 3D torus, DCN between pods"
    made = record(gpu="TPU v4", num_gpus=6144)
    made["cluster"] |= {"gpus_per_node": 4, "interconnect": text}
    assert scenario(made).cluster.node.scaleup_gpus == 3072
