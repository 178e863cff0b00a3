"""Runs files in, predictions with their errors out; whatever is broken has a reason."""

import json
import math
import random
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

from estimator.answer.step_model import StepModel
from estimator.catalog import kinds
from estimator.catalog.records.clusters import fabric
from estimator.catalog.records.files import parse_records
from estimator.catalog.records.pipelines import layout
from estimator.catalog.records.plans import zero_stage
from estimator.catalog.records.scenarios import mapped
from estimator.ground.errors import InputError
from estimator.validation.predictions import predict
from estimator.validation.runs import validate
from estimator.validation.scoring import Row, spearman, spread, sweeps

ROOT = Path(__file__).parents[1]
FEW = ROOT / "tests" / "data" / "published_runs.yaml"
LEAST = ((), ("core_attn",), ("full",))
"""What may be recomputed where nothing is said: the first of these that fits."""


def record(name="someone-1", **changes):
    made = {
        "id": name,
        "record": "run",
        "kind": "dense",
        "split": "public",
        "trust": "A",
        "source": "a table",
        "where": "row 1",
        "model": {
            "name": "x",
            "type": "dense",
            "layers": 8,
            "hidden": 2048,
            "heads": 16,
            "ffn": 8192,
            "vocab": 32000,
            "gated_mlp": False,
        },
        "cluster": {"gpu": "H100-80GB", "gpus": 8, "gpus_per_node": 8},
        "parallel": {"tp": 2, "pp": 2, "zero": 0, "sequence_parallel": True},
        "batch": {"global": 16, "micro": 1, "seq_len": 2048},
        "precision": "BF16",
        "recompute": "none",
        "schedule": "1F1B",
        "measured": {"step_time_s": 0.1},
    }
    for path, value in changes.items():
        section, _, key = path.partition("__")
        if key:
            made[section] = {**made[section], key: value}
        else:
            made[section] = value
    return made


def without(path):
    section, _, key = path.partition(".")
    made = record()
    del (made[section] if key else made)[key or section]
    return made


@pytest.fixture
def runs_file(tmp_path):
    def write(*records):
        path = tmp_path / "runs.yaml"
        path.write_text(yaml.safe_dump(list(records), sort_keys=False))
        return str(path)

    return write


def predictions(made):
    rows, lost = predict(str(made.get("id")), made)
    assert lost is None, lost
    return {row.quantity: row for row in rows}


def reason(made):
    rows, lost = predict("someone-1", made)
    assert not rows
    return lost.reason


# ---- the document


def test_json_has_the_keys_that_programs_rely_on(run, runs_file):
    oom = record("other-2", record="oom", measured={"oom": True})
    done = run("validate", "--runs", runs_file(record(), oom, "nonsense"), "--json")
    assert done.status == 0
    made = done.json
    for row in made["runs"]:
        assert {"id", "family", "split", "kind", "quantity", "measured"} <= set(row)
        assert {"predicted", "error", "source"} <= set(row)
    (step,) = (row for row in made["runs"] if row["quantity"] == "step_s")
    assert step["error"] == pytest.approx(step["predicted"] / step["measured"] - 1)
    assert made["unmapped"] == [
        {"id": "record 3", "reason": "a record is a mapping, not 'nonsense'"}
    ]
    summary = made["summary"]
    assert (summary["num_records"], summary["num_mapped"]) == (3, 2)
    assert set(summary["mean_of_family_medians"]) == {"dense", "moe", "all"}
    (family,) = summary["families"].values()
    assert {"num_runs", "median_abs_error", "p90_abs_error", "bias"} <= set(family)
    assert "record 3" in done.err


def test_every_record_stands_in_runs_or_in_unmapped(run, runs_file):
    names = [f"someone-{index}" for index in range(4)]
    broken = record(names[2], batch__seq_len=-1)
    made = run(
        "validate",
        "--runs",
        runs_file(record(names[0]), record(names[1]), broken, record(names[3])),
        "--json",
    ).json
    told = {row["id"] for row in made["runs"]}
    lost = {row["id"] for row in made["unmapped"]}
    assert told | lost == set(names)
    assert not told & lost


def test_the_table_shows_each_run_and_names_the_worst(run, runs_file):
    shown = run(
        "validate",
        "--runs",
        runs_file(
            record("someone-good"), record("someone-far", measured={"mfu": 1e-5})
        ),
    ).out
    assert "someone-good" in shown
    assert "Furthest off" in shown
    assert shown.index("someone-far", shown.index("Furthest off"))


@pytest.mark.slow
def test_the_page_asks_the_network_for_nothing_and_escapes(run, runs_file, tmp_path):
    out = tmp_path / "page.html"
    evil = record("someone-<script>", source="<img src=x>")
    done = run("validate", "--runs", runs_file(evil), "--out", str(out))
    assert (done.status, done.out) == (0, "")
    text = out.read_text()
    for word in ("http:", "https:", "<script", "<img", "@import"):
        assert word not in text
    assert text.count("url(") == text.count("url(#")  # of a figure's own parts
    assert text.count("<svg") == 6  # no memory is measured
    assert "someone-&lt;script&gt;" in text
    assert f"validation | estimator {version('estimator')} | " in text


def test_a_split_and_a_family_are_filters(run, runs_file):
    path = runs_file(
        record("one-1"), record("two-1", split="calibration"), record("two-2")
    )
    made = run("validate", "--runs", path, "--split", "calibration", "--json").json
    assert {row["id"] for row in made["runs"]} == {"two-1"}
    made = run("validate", "--runs", path, "--family", "two", "--json").json
    assert {row["id"] for row in made["runs"]} == {"two-1", "two-2"}
    refused = run("validate", "--runs", path, "--family", "tow")
    assert refused.status == 2
    assert "'two'" in refused.err


# ---- files that are no runs files


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{a: 1}", "is a dict, not a list"),
        ("just words", "is a str, not a list"),
        ("", "is empty"),
        ("a: [1, 2", "is not YAML"),
        ("- " + "[" * 3000, "is not YAML"),
    ],
)
def test_another_kind_of_file_gives_one_message(run, tmp_path, text, words):
    path = tmp_path / "runs.yaml"
    path.write_text(text)
    done = run("validate", "--runs", str(path), "--json")
    assert (done.status, done.out) == (2, "")
    assert words in done.err
    assert "Traceback" not in done.err


def test_a_folder_and_bytes_are_no_runs_file(run, tmp_path):
    assert "no runs files" in run("validate", "--runs", str(tmp_path)).err
    path = tmp_path / "runs.bin"
    path.write_bytes(bytes(range(256)))
    done = run("validate", "--runs", str(path))
    assert (done.status, done.out) == (2, "")
    assert "is not text" in done.err


def test_a_file_that_is_not_there_or_too_large_gives_one_message(run, tmp_path):
    assert run("validate", "--runs", str(tmp_path / "none.yaml")).status == 2
    huge = tmp_path / "huge.yaml"
    with huge.open("wb") as file:
        file.truncate(30_000_000)
    done = run("validate", "--runs", str(huge))
    assert done.status == 2
    assert "30.0 MB" in done.err


def test_one_entry_that_is_not_yaml_does_not_take_the_rest_along():
    good = yaml.safe_dump([record()], sort_keys=False)
    text = good + "- id: someone-2\n  model: {name: [x\n" + good.replace("-1", "-3")
    first, second, third = parse_records(text, "runs.yaml")
    assert (first["id"], third["id"]) == ("someone-1", "someone-3")
    assert second.id == "someone-2"
    assert "runs.yaml:" in second.reason


# ---- records that are broken, one message each


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (without("cluster.gpu"), "cluster.gpu is missing"),
        (without("cluster"), "cluster.gpu is missing"),
        (without("batch.seq_len"), "batch.seq_len is missing"),
        (without("cluster.gpus"), "no number of GPUs"),
        (without("record"), "record (run or oom) is missing"),
        (without("model.hidden"), "dimensions are not given"),
        (without("model.vocab"), "model.vocab is missing"),
        (without("model.layers"), "how many layers"),
        (record(measured__step_time_s=-3), "measured.step_time_s is positive, not -3"),
        (record(measured__step_time_s=math.nan), "a finite number"),
        (record(measured__step_time_s="soon"), "is a number, not 'soon'"),
        (record(measured={}), "nothing is measured"),
        (record(measured=[1]), "measured: a mapping is needed, not a list"),
        (record(cluster__gpus=True), "cluster.gpus is a number"),
        (record(cluster__gpus=7.5), "a whole number"),
        (record(cluster__gpus=6), "does not divide num_gpus 6"),
        (record(cluster__gpu="Abacus 9000"), "no node with 'Abacus 9000'"),
        (record(model__layers=10**8), "lies between 1 and 4,096"),
        (record(model__heads=0), "lies between 1 and"),
        (record(parallel="tp2"), "parallel: a mapping is needed"),
        (record(parallel__tp=32, cluster__gpus=64), "does not divide 16 heads"),
        (record(record="budget"), "not a run: 'budget'"),
    ],
)
def test_a_record_that_lacks_something_says_what(made, words):
    assert words in reason(made)


def test_all_mistakes_of_a_record_are_in_its_one_message():
    made = record(measured__step_time_s=-1, batch__seq_len="long")
    assert "step_time_s" in reason(made)
    assert "seq_len" in reason(made)


def test_numbers_written_with_an_exponent_are_numbers():
    # YAML 1.1 reads 1e-1 as text
    assert predictions(record(measured__step_time_s="1e-1"))["step_s"].measured == 0.1


def test_a_file_of_broken_records_gives_a_message_for_each_and_goes_on(run, tmp_path):
    broken = [
        without("cluster.gpu") | {"id": "a-gpu"},
        record("a-model", model={"name": "mystery"}),
        record("a-time", measured__step_time_s=-1),
        record("a-nan", model__layers=math.nan),
        record("a-notes", notes=[["nested"]]),
        17,
        None,
    ]
    text = yaml.safe_dump([record("a-good"), *broken, record("a-good")])
    path = tmp_path / "runs.yaml"
    path.write_text(text + "- id: a-yaml\n  model: {name: [x\n")
    done = run("validate", "--runs", str(path), "--json")
    made = done.json
    assert done.status == 0
    assert {row["id"] for row in made["runs"]} == {"a-good"}
    assert len({lost["reason"] for lost in made["unmapped"]}) == len(broken) + 1
    assert made["repeated"] == ["a-good"]
    for name in ("a-gpu", "a-time", "a-nan", "a-notes", "a-yaml", "a-good"):
        assert sum(line.startswith(f"{name}:") for line in done.err.splitlines()) == 1
    assert "Traceback" not in done.err


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(40))
def test_no_value_in_any_field_ends_in_a_traceback(seed):
    rng = random.Random(seed)  # noqa: S311 - no secret
    strange = [None, -1, 0, math.nan, math.inf, "", "x", [], {}, True, 10**40, 3.5, 7]
    for _ in range(5):
        made = record(derived={"step_time_s": 1.0})
        for _ in range(rng.randint(1, 3)):
            section = made.get(
                rng.choice(["model", "cluster", "parallel", "batch", "measured"])
            )
            if isinstance(section, dict) and section:
                section[rng.choice(list(section))] = rng.choice(strange)
        rows, lost = predict("someone-1", made)
        assert bool(rows) != bool(lost)
        assert all(math.isfinite(row.error) for row in rows)


# ---- what is measured


@pytest.mark.parametrize(
    ("measured", "seconds"),
    [
        ({"step_time_s": 2.0, "tokens_per_s_per_gpu": 1.0}, 2.0),
        ({"tokens_per_s_per_gpu": 4096.0, "mfu": 0.4}, 1.0),
        ({"tokens_per_s": 32768.0}, 1.0),
        ({"samples_per_s_per_gpu": 4.0}, 0.5),
        ({"samples_per_s": 16.0}, 1.0),
    ],
)
def test_the_first_figure_that_exists_is_scored(measured, seconds):
    row = predictions(record(measured=measured))["step_s"]
    assert row.measured == pytest.approx(seconds)


def test_a_derived_time_stands_in_where_nothing_direct_is_printed():
    made = record(measured={"mfu": 0.4}, derived={"step_time_s_if_noncausal": 3.0})
    assert predictions(made)["step_s"].measured == 3.0


def test_mfu_and_tflops_are_converted_by_the_sources_way_of_counting():
    plain = predictions(record(measured={"tflops_per_gpu": 100.0}))["step_s"]
    bf16 = predictions(record(measured={"mfu": 100e12 / 989.4e12}))["step_s"]
    flop = {"measured": {"tflops_per_gpu": 100.0}}
    executed = predictions(record(**flop, flop_convention="hardware FLOPs"))
    causal = predictions(record(**flop, flop_convention="causal (half) attention"))
    assert bf16.measured == pytest.approx(plain.measured, rel=1e-3)
    assert executed["step_s"].measured == pytest.approx(plain.measured * 4 / 3)
    assert causal["step_s"].measured < plain.measured
    assert any("counting full attention" in note for note in plain.assumptions)


def test_a_run_that_finished_fits_and_memory_keeps_its_unit():
    made = predictions(record(measured={"step_time_s": 1.0, "peak_mem_gib": 2.0}))
    assert made["fits"].measured is True
    assert made["peak_bytes"].measured == 2 * 2**30
    gb = predictions(record(measured={"step_time_s": 1.0, "peak_mem_gb": 2.0}))
    assert gb["peak_bytes"].measured == 2e9


def test_a_plan_that_ran_out_of_memory_has_a_label_and_no_time():
    made = predictions(record(record="oom", measured={"oom": True}, batch__micro=4))
    assert set(made) == {"fits"}
    assert made["fits"].measured is False
    assert made["fits"].error == 1.0  # it is small, and is predicted to fit


# ---- the rules


def test_what_was_assumed_is_said():
    made = record(recompute="not stated in README")
    del made["parallel"]["sequence_parallel"], made["parallel"]["zero"]
    notes = " ".join(mapped(made).assumptions)
    for words in ("recomputation", "ZeRO stage", "sequence parallelism"):
        assert words in notes


def test_one_node_without_a_plan_is_data_parallel():
    made = record()
    del made["parallel"]
    assert mapped(made).scenario.dp == 8
    note = "no plan is printed: data parallelism on one node"
    assert note in mapped(made).assumptions


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("none (nanotron default; not a column)", ((),)),
        ("full (activation checkpointing of every block)", (("full",),)),
        ("selective (recipe yaml v24.11.1)", (("core_attn",),)),
        ("selective: layernorm, moe", (("layernorm", "moe"),)),
        ("selective: norm, act", (("layernorm", "moe_act"),)),
        (
            "RMSNorm + MLA up-projection (+ SwiGLU output recomputed)",
            (("mla_up_proj", "layernorm", "moe_act"),),
        ),
        (
            "recipe at HEAD (067f987d): modules=[mla_up_proj, mlp]; may differ",
            ((), ("mla_up_proj", "mlp")),
        ),
        ("recipe at HEAD (067f987d): granularity=full; may differ", ((), ("full",))),
        ("recipe at HEAD (067f987d): recipe sets none; may differ", ((),)),
        ("not stated in the table (mostly none)", LEAST),
        (None, LEAST),
    ],
)
def test_recompute_texts_name_their_modules(text, expected):
    assert mapped(record(recompute=text)).recompute == expected


def test_a_quoted_recipe_counts_only_where_nothing_recomputed_does_not_fit():
    head = "recipe at HEAD (067f987d): granularity=full; may differ"
    small = predictions(record(recompute=head))["step_s"]
    large = predictions(
        record(recompute=head, batch__micro=64, batch__seq_len=16384, batch__global=256)
    )["step_s"]
    assert "recomputed: nothing" in small.assumptions
    assert "recomputed: full" in large.assumptions


@pytest.mark.parametrize(
    ("text", "recipe"),
    [
        ("BF16 (fp32 gradient accumulation)", "bf16"),
        ("FP16 mixed", "fp16"),
        ("FP8-CS", "fp8-tensor"),
        ("FP8 rowwise", "fp8-row"),
        ("FP8-MX", "mxfp8"),
        ("MXFP8", "mxfp8"),
        ("NVFP4", "nvfp4"),
        ("FP8 blockwise", "fp8"),
        ("FP8 (DeepGEMM-style fine-grained) + BF16 attention/combine", "fp8"),
        ("FP8 or NVFP4 (both configs in the submission tree)", "fp8-tensor"),
        (None, "bf16"),
    ],
)
def test_precision_texts_name_their_recipe(text, recipe):
    made = record(precision=text, cluster__gpu="B200")
    assert mapped(made).scenario.precision.recipe == recipe


@pytest.mark.parametrize(
    ("text", "vp", "schedule", "virtual"),
    [
        ("1F1B", None, "1f1b", None),
        ("interleaved 1F1B", 2, "interleaved-1f1b", 2),
        ("interleaved 1F1B (VP not stated)", None, "interleaved-1f1b", 2),
        ("interleaved 1F1B with 1F1B EP all-to-all overlap", 2, "interleaved-1f1b-overlap", 2),
        ("ZB-1p", None, "zb-h1", None),
        ("ZB-2p", None, "zb-h2", None),
        ("DualPipe", None, "dualpipe", None),
        (None, None, "1f1b", None),
    ],
)  # fmt: skip
def test_schedule_texts_name_their_schedule(text, vp, schedule, virtual):
    made = record(schedule=text)
    if vp:
        made["parallel"]["vp"] = vp
    plan = mapped(made).scenario.plan
    assert (plan.schedule, plan.stages_per_rank) == (schedule, virtual)


def test_virtual_stages_that_are_not_printed_are_all_tried():
    made = record(schedule="interleaved 1F1B", model__layers=24)
    tried = [plan.stages_per_rank for plan in mapped(made).plans]
    assert tried == [2, 3, 4, 6, 12]
    words = "virtual stages are not printed: the fastest that fits"
    assert words in predictions(made)["step_s"].assumptions


@pytest.mark.parametrize(
    ("layers", "mtp", "pp", "virtual", "expected"),
    [
        (126, 0, 16, 4, "Et|" + "tt|" * 62 + "tL"),
        (94, 0, 8, 12, "E|" + "t|" * 94 + "L"),
        (61, 1, 16, 1, "Etttt|" + "tttt|" * 14 + "tmL"),
        (61, 1, 8, 4, "Ett|" + "tt|" * 29 + "t|mL"),
        (61, 0, 16, 1, "even"),
        (80, 0, 32, 1, "even"),
    ],
)
def test_layers_that_do_not_divide_have_their_layout(
    layers, mtp, pp, virtual, expected
):
    made = layout(layers, mtp, pp, virtual)
    if (layers, pp, virtual) == (61, 8, 4):  # NVIDIA's own: Et|(tt|)*30mL
        expected = "Et|" + "tt|" * 30 + "mL"
    assert made == expected


@pytest.mark.parametrize(
    ("text", "stage"),
    [
        (2, 2),
        ("distributed fused optimizer (ZeRO-1)", 1),
        ("ZeRO-2-like", 2),
        ("FSDP: optimizer and gradient sharding, parameters not resharded", 2),
        ("FSDP2 (ZeRO-3)", 3),
        ("FSDP (MaxText/Pax)", 3),
    ],
)
def test_zero_texts_name_their_stage(text, stage):
    assert zero_stage({"zero": text}, "someone", 8, []) == stage


@pytest.mark.parametrize(
    ("gpu", "each", "text", "gbit"),
    [
        ("A100-80GB", 8, "Jean Zay: NVLink3, 4 Omni-Path links per node", 50),
        ("H100-80GB", 8, "fabric not in the file (AWS p5 EFA 3200 Gb/s recalled)", 400),
        ("A100-80GB", 8, "Selene: 8x A100-80GB NVLink3, 8x200 Gb/s HDR IB per node", 200),
        ("A100-40GB", 8, "DGX-A100 40G, IB (recalled 4x HDR200)", 100),
        ("H100-80GB", 8, "NVLink4; InfiniBand 8x50 GB/s", 400),
        ("GB300", 4, "NVLINK Gen5 1800 GB/s; 4x ConnectX-8 IB XDR 800 Gb/s", 800),
        ("GB200", 4, "72-GPU NVLink5 domain; 4x400 Gb/s per 4-GPU tray", 400),
        ("A100-80GB", 8, "A100 SXM nodes, RoCE RDMA", 200),
        ("H800", 8, "", 400),
    ],
)  # fmt: skip
def test_interconnect_texts_give_a_rate_per_gpu(gpu, each, text, gbit):
    given = {"gpu": gpu, "gpus_per_node": each, "interconnect": text}
    assert fabric(given).bytes_per_s == pytest.approx(gbit / 8 * 1e9)


def test_a_built_in_model_stands_in_where_dimensions_are_missing():
    made = record(model={"name": "Llama3-8B", "type": "dense"})
    assert mapped(made).scenario.model.num_layers == 32


def test_a_built_in_model_lends_its_sliding_windows():
    model = {"name": "gemma3-27b", "type": "dense", "layers": 62, "hidden": 5376}
    made = record(model={**model, "heads": 32, "vocab": 262208}, parallel={"tp": 8})
    assert mapped(made).scenario.model.attention.local is not None


def test_expert_groups_may_fold_over_more_than_dp():
    model = {"type": "moe", "experts": 8, "top_k": 2, "moe_ffn": 512, "gated_mlp": True}
    made = record("mbridge-1", parallel={"tp": 4, "ep": 8})
    made["model"] |= model
    plan = mapped(made).scenario.plan
    assert (plan.ep, plan.etp) == (8, 1)
    assert predictions(made)["step_s"].kind == "moe"


def test_a_shared_graph_changes_no_step():
    made = mapped(record(batch__global=4096)).scenario
    model = StepModel(made, 2048)
    exact = model.step_s(100)
    assert StepModel(made, 2048).step_s(100) == exact
    line = model.step_s(2048) - model.step_s(1024)
    assert line / 1024 == pytest.approx((model.step_s(100) - model.step_s(60)) / 40)


# ---- the scores


def test_spread_is_of_absolute_errors_and_bias_is_signed():
    made = spread([-0.2, 0.1, 0.1])
    assert made["median_abs_error"] == 0.1
    assert made["bias"] == pytest.approx(0)


def test_spearman_shares_ranks_between_ties():
    assert spearman([1, 1, 2], [5, 5, 9]) == 1
    assert spearman([1, 2, 3, 4], [1, 2, 4, 3]) == pytest.approx(0.8)
    assert spearman([1, 1], [1, 2]) == 0


def test_a_sweep_is_of_several_mappings_of_one_model_batch_and_cluster():
    def row(index, mapping):
        made = (f"a-{index}", "a", "", "dense", "step_s", 1.0 + index, 2.0 + index)
        return Row(*made, "", "H100", 8, sweep=("x", 64), mapping=(mapping,))

    (made,) = sweeps([row(index, index) for index in range(10)])
    assert (made["num_runs"], made["spread"], made["spearman"]) == (10, 10, 1)
    assert sweeps([row(index, index) for index in range(9)]) == []
    assert sweeps([row(index, "one plan") for index in range(10)]) == []


# ---- our own selection


def test_validation_files_are_read_by_validate_alone(monkeypatch, tmp_path):
    opened = []
    open_path = Path.open

    def spied(path, *args, **kwargs):
        opened.append(path)
        return open_path(path, *args, **kwargs)

    monkeypatch.setattr(Path, "open", spied)
    before = predictions(record())["step_s"].predicted
    assert not [path for path in opened if "validation" in path.parts]
    elsewhere = tmp_path / "data"
    elsewhere.mkdir()
    for name in ("hardware", "models", "scenarios", "software"):
        (elsewhere / name).symlink_to(kinds.data_folder() / name)
    monkeypatch.setattr(kinds, "data_folder", lambda: elsewhere)
    assert predictions(record())["step_s"].predicted == before
    with pytest.raises(InputError, match="cannot be read"):
        validate()
    assert [path for path in opened if "validation" in path.parts] == []


@pytest.mark.slow
def test_our_selection_is_scored_with_its_main_scenario(run):
    made = run("validate", "--family", "dsv3", "--json").json
    anchors = {row["name"]: row for row in made["anchors"]}
    assert abs(anchors["step_s"]["error"]) <= anchors["step_s"]["tolerance"]
    hours = [row for row in made["runs"] if row["quantity"] == "gpu_hours"]
    assert {round(row["measured"]) for row in hours} == {2664000, 2788000}


# ---- a few collected runs


def test_other_frames_of_the_same_kind_are_listed_as_not_a_run(runs_file):
    frames = record(record="microbench"), record("other-2", record="cost")
    made = validate(Path(runs_file(*frames)))
    assert not made.rows
    assert {lost.reason for lost in made.unmapped} == {
        "not a run: 'microbench'",
        "not a run: 'cost'",
    }


def test_every_collected_run_has_a_prediction_or_a_reason():
    made = validate(FEW, split="calibration").to_dict()
    told = {row["id"] for row in made["runs"]}
    known = {lost["id"] for lost in made["unmapped"]}
    assert len(told) + len(known) == made["summary"]["num_records"] >= 10
    assert not told & known
    json.dumps(made, allow_nan=False)
