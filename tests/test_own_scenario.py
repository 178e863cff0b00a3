"""A visitor's own scenario: taken from a file, a text or a link, or refused."""

import json

import pytest

from estimator.answer.api import estimate
from estimator.catalog import loading
from estimator.catalog.foreign import families
from estimator.faces import uploads
from estimator.faces.pages import own
from estimator.ground.errors import EstimatorError
from estimator.ground.words import short

HEAD = "base: deepseek-v3\nname: mine\n"
TEN = ",".join(["*{0}"] * 10)
BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{TEN.format(old)}]\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
HOSTILE = {
    "aliases that multiply": (HEAD + BOMB, "grows out of proportion"),
    "an alias of itself": ("a: &a\n  b: *a\n", "grows out of proportion"),
    "50 MB": (b"x" * 50_000_000, "has 50.0 MB"),
    "no text": (bytes(range(256)), "not text in UTF-8"),
    "null bytes": ("name: a\0b\n", "null bytes"),
    "Latin-1": ("name: café".encode("latin-1"), "not text in UTF-8"),
    "brackets without end": ("a: " + "[" * 5000, "not YAML"),
    "deep nesting": (
        "".join(" " * depth + "a:\n" for depth in range(300)),
        "grows out of proportion",
    ),
    "a tag that runs code": ("!!python/object/apply:os.system ['id']", "holds a list"),
    "nothing": ("", "is empty"),
    "a list": ("- 1\n- 2\n", "holds a list"),
    "a word": ("root:x:0:0", "holds a single value"),
    "keys given twice": (HEAD + "name: yours\n", "gives 'name' twice"),
    "unknown keys": (HEAD + "colour: red\n", "unknown field 'colour'"),
    "NaN": (HEAD + "cluster: {num_gpus: .nan}\n", "finite number"),
    "a negative number": (HEAD + "cluster: {num_gpus: -8}\n", "greater than 0"),
    "a huge number": (HEAD + f"cluster: {{num_gpus: 1{'0' * 400}}}\n", "64 digits"),
    "tokens without end": (
        HEAD
        + "phases: [{name: a, num_tokens: 1e308, seq_len: 4096, global_batch_size: 64}]",
        "less than or equal",
    ),
    "a pipeline without end": (HEAD + "plan: {pp: 1000000000}\n", "less than"),
    "a pipeline too long for a page": (
        HEAD
        + "plan: {pp: 1024, ep: 1, schedule: 1f1b, stage_layout: even}\n"
        + "model: {base: deepseek-v3, num_layers: 2048}\n",
        "more than a page works out",
    ),
    "another unit": (
        HEAD + "price: {base: deepseek-2usd, usd_per_gpu_hour: 2 GB/s}\n",
        "is a quantity of B/s",
    ),
    "a model's path": (HEAD + "model: ../../../../etc/passwd\n", "is a path"),
    "a model's file": (HEAD + "model: secret.yaml\n", "is a path"),
    "a base's path": ("base: ../../etc/passwd\nname: mine\n", "is a path"),
    "a path inside a node": (
        HEAD + "cluster: {node: {base: hgx-h800, gpu: {base: /etc/hosts}}}\n",
        "is a path",
    ),
    "a base that is none": ("base: [deepseek-v3]\nname: mine\n", "is a name"),
    "its own base": ("base: mine\nname: mine\n", "no scenario called 'mine'"),
    "a name without end": (f"base: deepseek-v3\nname: {'x' * 5000}", "1 to 80 letters"),
    "a config.json cut off": ('{"model_type": ', "not JSON"),
    "a config.json of another kind": ('{"model_type": "evil"}', "not known here"),
    "a config.json out of proportion": (
        f'{{"model_type": "llama", "hidden_size": {"9" * 5000}}}',
        "a number of more than 64 digits",
    ),
}
NAMES = (
    "../../etc/passwd.yaml",
    "<img src=x onerror=alert(1)>.yaml",
    "C:\\windows\\x.yaml",
)


@pytest.fixture(scope="module")
def chosen():
    return uploads.Accepted(loading.load_scenario("deepseek-v3"), "deepseek-v3")


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_file_is_refused_with_one_message(case, chosen):
    text, words = HOSTILE[case]
    data = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(EstimatorError, match=words):
        uploads.accepted(data, "mine.yaml", chosen)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_called_by_the_end_of_its_name(name, chosen):
    with pytest.raises(EstimatorError) as caught:
        uploads.accepted(b"", name, chosen)
    assert "/" not in str(caught.value)
    assert "\\" not in str(caught.value)


def handed_in(app, text, name="mine.yaml"):
    data = text if isinstance(text, bytes) else text.encode()
    app.file_uploader(key="scenario file").set_value((name, data, "text/yaml"))
    app.run()
    assert not app.exception
    return app


def said(element):
    return str(element.value).replace("\\", "")


@pytest.mark.slow
def test_hostile_files_change_nothing_and_leave_the_session_usable(open_page):
    app = open_page("scenario", gpus="4096")
    before = app.code[0].value
    for case in ("aliases that multiply", "no text", "a model's path", "NaN"):
        text, words = HOSTILE[case]
        (error,) = handed_in(app, text, "<b>bad</b>.yaml").error
        assert words in said(error)
        assert app.code[0].value == before
    handed_in(app, HEAD + "cluster: {num_gpus: 1024}\n")
    assert not app.error
    assert app.code[0].value == "estimator run mine.yaml"


def test_a_message_is_said_once(open_page):
    app = handed_in(open_page("scenario"), "")
    assert len(app.error) == 1
    assert not app.run().error


def test_an_uploaded_scenario_is_on_every_page(open_page):
    app = handed_in(open_page("scenario"), HEAD + "cluster: {num_gpus: 1024}\n")
    assert app.selectbox(key="scenario").value == own.NAME
    assert app.number_input(key="gpus").value == 1024


@pytest.mark.slow
def test_its_link_shows_the_same_numbers_elsewhere(open_page):
    text = HEAD + "cluster: {num_gpus: 1024}\n"
    app = handed_in(open_page("scenario"), text)
    asked = {"scenario": own.NAME, "own": app.session_state["own"], "price": "3"}
    app = open_page("estimate", **asked)
    assert not app.warning
    shown = {metric.label: metric.value for metric in app.metric}
    hours = estimate(uploads.accepted(text.encode(), "", None).scenario).gpu_hours
    assert shown["GPU-hours"] == short(hours)


def test_a_damaged_link_is_named(open_page):
    (warning,) = open_page("estimate", scenario=own.NAME, own="eJxxxx").warning
    assert "own=eJxxxx" in said(warning)


def test_a_packed_scenario_is_unpacked_within_limits():
    assert own.unpacked(own.packed(HEAD)).decode() == HEAD
    assert own.unpacked(own.packed("x" * 3_000_000)) == b""
    assert own.unpacked("none at all") == b""


@pytest.mark.slow
def test_a_long_scenario_stays_out_of_the_link(open_page):
    text = HEAD + "question: " + "".join(map(chr, range(0x4E00, 0x5600)))
    app = handed_in(open_page("scenario"), text)
    assert "too long for a link" in app.info[0].value
    assert "own" not in app.query_params


@pytest.mark.slow
def test_the_file_gives_the_numbers_of_the_page(open_page, run, tmp_path):
    app = open_page(
        "scenario", scenario="deepseek-v3@h100", gpus="4096", ib="25", price="3"
    )
    (editor,) = (area for area in app.text_area if area.label == "Scenario")
    path = tmp_path / "mine.yaml"
    path.write_text(editor.value)
    from_file, from_words = (
        run(*words, "--json").json[0]
        for words in (("run", str(path)), app.code[0].value.split()[1:])
    )
    for key in ("gpu_hours", "cost_usd", "wall_s", "step", "memory", "range"):
        assert from_file[key] == from_words[key]


@pytest.mark.slow
def test_an_edited_text_is_taken(open_page):
    app = open_page("scenario")
    (editor,) = (area for area in app.text_area if area.label == "Scenario")
    editor.set_value(HEAD + "cluster: {num_gpus: 3072}\n")
    app.button[0].click().run()
    assert not app.error
    assert app.number_input(key="gpus").value == 3072


CONFIG = {
    "model_type": "llama",
    "_name_or_path": "org/small",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
}


def test_a_config_brings_its_model(chosen):
    assert CONFIG["model_type"] in families.FAMILIES
    made = uploads.accepted(json.dumps(CONFIG).encode(), "config.json", chosen)
    assert made.scenario.model.num_layers == 32
    assert made.scenario.plan.ep == 1
    assert all(phase.basis == "simulated" for phase in made.scenario.phases)


def test_an_uploaded_config_is_a_scenario_of_its_own(open_page):
    app = handed_in(open_page("scenario"), json.dumps(CONFIG), "config.json")
    assert not app.error
    assert app.code[0].value == "estimator run small-as-deepseek-v3.yaml"


@pytest.mark.slow
@pytest.mark.parametrize(
    "lines",
    ["model=../../etc/passwd.yaml", "cluster.fabric={base: /etc/hosts}", "plan=1=2"],
)
def test_a_value_in_a_link_reads_no_file(lines, open_page):
    app = open_page("estimate", set=lines)
    assert len(app.error) == 1
    assert any("nothing changed" in said(each) for each in app.caption)


@pytest.mark.slow
def test_values_set_by_path_go_over_the_controls(open_page, run):
    lines = "phases.0.seq_len=8192\ncluster.num_gpus=4096"
    app = open_page("estimate", set=lines, gpus="3072")
    (made,) = run(*app.code[0].value.split()[1:], "--json").json
    assert made["num_gpus"] == 4096
    shown = {metric.label: said(metric) for metric in app.metric}
    assert shown["Cost"] == f"${short(made['cost_usd'])}"
