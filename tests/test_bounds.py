"""Whatever is asked: a finite answer, or one message that names the bound."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from estimator.answer import api
from estimator.answer.soundness import numbers, sound
from estimator.catalog import loading
from estimator.catalog.foreign import huggingface
from estimator.catalog.records.checks import MOST_LETTERS, checked
from estimator.catalog.records.files import Broken, parse_records
from estimator.catalog.records.models import transformer
from estimator.explore.axes import split
from estimator.faces import uploads
from estimator.ground.documents import scalar
from estimator.ground.errors import EstimatorError, InfeasibleError, InputError
from estimator.ground.units import DOMAINS, parse_quantity
from estimator.schedules.notation import Pipeline
from estimator.schedules.programs import MAX_CHUNKS, program
from estimator.specs.layout import parse_layout

ROW = "1" * 20_000

FIXED = ["cluster.num_gpus=64", "plan.tp=8", "phases.0.global_batch_size=128"]
NAMES = ("gpt3-175b", "deepseek-v3")


def places(document, path=()):
    items = ()
    if isinstance(document, dict):
        items = document.items()
    elif isinstance(document, list):
        items = enumerate(document)
    for key, value in items:
        yield (*path, str(key))
        yield from places(value, (*path, str(key)))


PATHS = [
    (name, ".".join(path))
    for name in NAMES
    for path in places(loading.scenario_document(name))
    if path[0] not in ("variants", "question", "assumptions")
    and not {"source", "sources", "notes", "title"} & set(path)
]
VALUES = st.one_of(
    st.sampled_from(
        [
            "0",
            "-1",
            "1",
            "2",
            "64",
            "1e-300",
            "5e-324",
            "-1e300",
            "1e9",
            "1e18",
            "1e300",
            "1e400",
            "nan",
            ".inf",
            "x",
            "null",
            "true",
            "[1]",
            "{a:1}",
            "0.5",
            "'1'",
        ]
    ),
    st.sampled_from(["9" * 400, ROW]),
    st.floats(-12, 12).map(lambda exponent: f"{10**exponent:.4g}"),
)


def check_rates(scenario, report):
    """No FLOP rate lies above the peak of the fastest format of the GPU."""
    peaks = scenario.cluster.node.gpu.peak_flop_per_s
    most = max(rate for kind, rate in peaks.items() if kind[:3] != "int")
    assert report.step.tflop_per_s_per_gpu * 1e12 <= most * (1 + 1e-9)


@pytest.mark.slow
@settings(
    max_examples=150,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(place=st.sampled_from(PATHS), value=VALUES)
@example(place=("deepseek-v3", "power.pue"), value="1e300")
@example(place=("deepseek-v3", "price.usd_per_gpu_hour"), value="1e308")
@example(place=("deepseek-v3", "cluster.node.gpu.achievable.hbm"), value="1e-300")
@example(place=("deepseek-v3", "cluster.node.gpu.achievable.launch_s"), value="1e300")
def test_any_override_gives_a_finite_answer_or_one_message(place, value):
    name, path = place
    try:
        scenario = loading.load_scenario(name, [f"{path}={value}"])
        report = api.estimate(scenario, has_range=value[-1] == "0", is_played=False)
    except EstimatorError as error:
        assert len(str(error)) < 3_000  # noqa: PT017 - what it is, it has said
        return
    for where, number in numbers(report):
        assert 0 <= number < math.inf, where
    check_rates(scenario, report)


@pytest.mark.parametrize(
    ("patch", "bound"),
    [
        ("power.pue=1e300", "1e+300 is more than 10, the most that a PUE may be"),
        ("price.usd_per_gpu_hour=1e308", r"1e\+308 is more than 1e\+06 USD/h"),
        ("cluster.node.gpu.achievable.hbm=1e-300", "1e-300 is less than 1e-06, the le"),
        (
            "cluster.node.gpu.achievable.launch_s=1e300",
            "is more than 86400 s, the most",
        ),
        ("cluster.node.gpu.peak_flop_per_s.bf16=1e30", r"more than 1e\+18 FLOP/s"),
        ("cluster.fabric.bytes_per_s=1", "1 is less than 1000 B/s, the least"),
        ("cluster.num_gpus=1e12", "less than or equal to 100000000, not 1e12"),
        ("cluster.num_gpus=1e300", r"1e\+300 is more than any count may be: 1e9"),
        ("phases.0.seq_len=1e9", "less than or equal to 100000000, not 1000000000.0"),
    ],
)
def test_a_refusal_names_the_field_the_value_and_the_bound(patch, bound):
    with pytest.raises(InputError) as caught:
        loading.load_scenario("deepseek-v3", [patch])
    path = patch.partition("=")[0]
    bound = bound.replace("1e12", "1000000000000.0").replace("1e+300", r"1e\+300")
    assert path in str(caught.value)
    caught.match(bound)


def test_every_unit_has_bounds_that_hold_something():
    assert all(0 < each.least < each.most < math.inf for each in DOMAINS.values())


def test_a_number_of_digits_without_end_is_no_number():
    assert scalar(ROW) == ROW
    with pytest.raises(ValueError, match=r"not 111111111111\.\.\. \(20,000 letters\)"):
        parse_quantity(ROW, "s")


def test_the_last_digit_of_a_number_is_not_its_unit():
    with pytest.raises(ValueError, match="write a number"):
        parse_quantity("0.71", "1")
    assert parse_quantity("0.7 1", "1") == 0.7


def test_commas_in_brackets_do_not_split():
    assert split("[a, {b: 1, c: 2}], d") == ["[a, {b: 1, c: 2}]", "d"]
    assert len(split("1," * 50_000)) == 50_001


def test_a_layout_is_refused_by_its_length_first():
    for text in ("(t)*1" * 100_000, "t*9999" * 3_000, "(" * 30_000):
        with pytest.raises(ValueError, match=r"layers|letters"):
            parse_layout(text)


@pytest.mark.parametrize(
    "name", ["a" * 300, "a\0b", "a\0b.yaml", "../" * 2_000 + "x.yaml"]
)
def test_a_name_that_no_file_can_have_is_one_message(name):
    with pytest.raises(InputError, match="there is no"):
        loading.load("power", name)


@pytest.mark.slow
@pytest.mark.parametrize("schedule", ["1f1b", "interleaved-1f1b", "gpipe", "dualpipe"])
def test_a_billion_sequences_take_as_long_as_a_thousand(schedule):
    patches = [f"plan.schedule={schedule}", "plan.stages_per_rank=null"]
    patches += ["phases.0.global_batch_size={}", "phases.0.num_tokens=1e18"]
    made = [
        api.estimate(
            "gpt3-175b",
            [patch.format(size) for patch in patches],
            has_range=False,
            is_played=False,
        )
        for size in (10**6, 10**9)
    ]
    few, many = (report.step for report in made)
    assert many.num_microbatches == 1000 * few.num_microbatches
    assert many.step_s == pytest.approx(1000 * few.step_s, rel=0.02)
    assert min(row.bubble_s for row in many.ranks) >= 0


def test_a_program_without_end_is_refused_before_it_is_made():
    for shape in (
        Pipeline(10**9, 10**9),
        Pipeline(4096, 128, 4096),
        Pipeline(1, 10**9),
    ):
        with pytest.raises(InfeasibleError, match=f"{MAX_CHUNKS:,} are the limit"):
            program("1f1b", shape)


@pytest.mark.parametrize("number", [math.nan, math.inf, -1.0])
def test_an_answer_with_a_number_that_is_none_is_refused(number):
    with pytest.raises(InfeasibleError, match="'mine' are out of proportion") as caught:
        sound("mine", {"phases": [{"step_s": number}]})
    assert caught.value.where[0].startswith("phases.0.step_s would be")


RECORD = {
    "id": "a",
    "record": "run",
    "model": {"name": "gpt3-175b"},
    "cluster": {"gpu": "A100"},
    "batch": {"seq_len": 2048},
}


def test_a_record_of_giant_numbers_is_one_line():
    with pytest.raises(InputError, match=r"batch\.seq_len lies between .* not at 1111"):
        checked(RECORD | {"batch": {"seq_len": int("1" * 400)}})
    with pytest.raises(InputError, match=r"notes has 2,001 letters"):
        checked(RECORD | {"notes": "x" * (MOST_LETTERS + 1)})
    with pytest.raises(InputError, match=r"mfu is above 1e-09, not 5e-324"):
        checked(RECORD | {"measured": {"mfu": 5e-324}})


def test_a_size_in_a_name_is_no_number_of_layers_without_end():
    sizes = {"name": "gpt-200B", "hidden": 216, "heads": 8, "ffn": 864, "vocab": 50000}
    with pytest.raises(InputError, match=r"would have [0-9,]+ layers"):
        transformer(checked(RECORD | {"model": sizes}))


def test_a_patch_of_what_another_one_replaced_is_one_message(run):
    sets = ("--set", "cluster.node.dispatch_s.source=x", "--set", "cluster=65536")
    ran = run("run", "deepseek-v3", *sets)
    assert (ran.status, ran.out) == (2, "")
    assert "--set: cluster: write a mapping" in ran.err


@pytest.mark.parametrize(
    "value",
    ["!!timestamp x", "!!bool x", "!!int ''", "!!binary x", "9" * 5000, "0x" + ROW],
)
def test_an_entry_that_its_tag_does_not_fit_stands_alone(value):
    text = f"- {{id: a, model: {{name: {value}}}}}\n- {{id: b}}\n"
    first, second = parse_records(text, "runs.yaml")
    assert second == {"id": "b"}
    assert isinstance(first, Broken) or isinstance(first["model"]["name"], str)


def test_a_config_of_giant_numbers_is_one_message():
    config = {"model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 2}
    text = json.dumps(config | {"vocab_size": 10**400})
    with pytest.raises(InputError, match="vocab_size: write a whole number"):
        huggingface.import_config(text)


def test_an_upload_without_end_is_refused(tmp_path: Path):
    chosen = uploads.Accepted(loading.load_scenario("gpt3-175b"), "gpt3-175b")
    text = f"base: gpt3-175b\nname: x\nphases: [{{name: p, num_tokens: {ROW}}}]\n"
    with pytest.raises(InputError, match="more than 64 digits"):
        uploads.accepted(text.encode(), "x.yaml", chosen)


def test_a_file_of_broken_records_alone_is_one_message(run, tmp_path):
    path = tmp_path / "runs.yaml"
    path.write_text(f"- {{id: a, record: run, batch: {{seq_len: {'9' * 400}}}}}\n")
    ran = run("validate", "--runs", str(path))
    assert (ran.status, ran.out) == (2, "")
    assert "holds no record that can be read" in ran.err
    assert "a: batch.seq_len is a number, not '9999" in ran.err


def test_a_folder_that_cannot_be_is_one_message(run):
    ran = run("validate", "--runs", "a" * 300)
    assert ran.status == 2
    assert ran.err.startswith("there is no file aaa") or "cannot be read" in ran.err
