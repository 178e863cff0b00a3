"""A wrong input gives one message that says what, where and what to try."""

import json

import pytest

BASE = "base: deepseek-v3\nname: broken\n"
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)

BROKEN = {
    "a unit of the wrong kind": (
        BASE + "price:\n  base: deepseek-2usd\n  usd_per_gpu_hour: 2 USD/kWh\n",
        5,
        "'2 USD/kWh' is a quantity of USD/kWh, but USD/h is expected here",
    ),
    "a bare number": (
        BASE + "price:\n  base: deepseek-2usd\n  usd_per_gpu_hour: 2\n",
        5,
        "write a number and its unit (USD/h), not 2",
    ),
    "an unknown key": (
        BASE + "plan:\n  schedul: 1f1b\n",
        4,
        "unknown field 'plan.schedul'; did you mean 'schedule'?",
    ),
    "a duplicate key": (
        BASE + "plan: {pp: 16}\nplan: {pp: 8}\n",
        4,
        "gives 'plan' twice",
    ),
    "a missing file": (
        BASE + "model: ./nothing.yaml\n",
        3,
        "there is no file ./nothing.yaml",
    ),
    "a pp that does not divide": (
        BASE + "plan:\n  pp: 15\n",
        4,
        "tp 1 x pp 15 does not divide num_gpus 2048; try num_gpus: 1920",
    ),
    "an ep that does not divide": (
        BASE + "plan:\n  ep: 48\n",
        4,
        "ep 48 does not divide num_gpus 2048 / pp 16 = 128",
    ),
    "no GPUs": (BASE + "cluster:\n  num_gpus: 0\n", 4, "greater than 0"),
    "no end": (BASE + "plan: {expert_imbalance: .inf}\n", 3, "number, not inf"),
    "not a number": (BASE + "plan: {expert_imbalance: .nan}\n", 3, "finite number"),
    "a list where a map belongs": (
        BASE + "cluster:\n  - hgx-h800\n",
        3,
        "cluster: write a mapping of fields here",
    ),
    "ten megabytes": (BASE + f"question: {'x' * 10_000_000}\n", None, "has 10.0 MB"),
    "an alias bomb": (BOMB, 1, "grows out of proportion"),
    "an alias of itself": ("a: &a [*a]\n", 1, "grows out of proportion"),
    "nesting without end": (
        "a: " + "[" * 500 + "]" * 500,
        1,
        "grows out of proportion",
    ),
    "an empty file": ("", None, "is empty"),
    "a list": ("- a\n- b\n", 1, "holds a list, not a mapping"),
    "a tab": ("name: x\n\tplan: 3\n", 2, "is not YAML"),
    "a negative number of tokens": (
        BASE
        + "phases:\n  - {name: a, num_tokens: -5, seq_len: 4096, global_batch_size: 64}\n",
        4,
        "greater than or equal to 1",
    ),
    "a ramp without its end": (
        BASE + "phases:\n  - {name: a, num_tokens: 1e9, seq_len: 4096, "
        "global_batch_size: {ramp: {from: 3}}}\n",
        4,
        "write a number of sequences, or {ramp:",
    ),
    "a published phase without its source": (
        BASE + "phases:\n  - {name: a, basis: published, gpu_hours: 5}\n",
        4,
        "a published phase needs source",
    ),
    "a layout that lacks layers": (
        BASE + 'plan:\n  stage_layout: "Et*3|(t*4|)*14tmL"\n',
        4,
        "it has 60 transformer layers (t), the model has 61",
    ),
    "a layout in no known notation": (
        BASE + "plan:\n  stage_layout: Et*4|zz\n",
        4,
        "'z'",
    ),
    "a schedule that nobody knows": (
        BASE + "plan: {schedule: dualpype}\n",
        3,
        "try 'dualpipe'",
    ),
    "a name that nobody knows": (BASE + "model: deepsek-v3\n", 3, "try 'deepseek-v3'"),
    "its own base": ("base: broken.yaml\nname: broken\n", None, "is its own base"),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_file_is_one_message(kind, run, tmp_path, monkeypatch):
    text, line, problem = BROKEN[kind]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.yaml").write_text(text)
    ran = run("run", "broken.yaml")
    assert ran.status == 2
    assert not ran.out
    assert problem in ran.err
    assert "broken.yaml" in ran.err
    assert line is None or f"broken.yaml:{line}" in ran.err
    assert "Traceback" not in ran.err


def test_all_mistakes_are_reported_at_once(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "two.yaml").write_text(BASE + "plan:\n  ppp: 1\n  tp: zero\nfoo: 1\n")
    ran = run("run", "two.yaml")
    for line in (4, 5, 6):
        assert f"two.yaml:{line}: " in ran.err


@pytest.mark.parametrize("name", ["", " ", "two\nlines"])
def test_a_name_is_one_line(name, run, tmp_path):
    path = tmp_path / "named.yaml"
    path.write_text(f"base: deepseek-v3\nname: {json.dumps(name)}\n")
    ran = run("run", str(path))
    assert ran.status == 2
    assert "named.yaml:2: name: write a text of one line" in ran.err


def test_a_file_that_is_not_text_is_named(run, tmp_path):
    path = tmp_path / "binary.yaml"
    path.write_bytes(bytes(range(256)))
    ran = run("run", str(path))
    assert ran.status == 2
    assert "is not text in UTF-8" in ran.err


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["run", "nope"], "there is no scenario called 'nope'"),
        (["run", "no/such.yaml"], "there is no file no/such.yaml"),
        (["run", "."], "there is no scenario called '.'"),
        (["run", "../"], "is a folder, not a file"),
        (["run", "deepseek-v3@h1000"], "has no variant 'h1000'"),
        (
            ["run", "gpt3-175b", "--set", "software=x"],
            "there is no software called 'x'",
        ),
        (["run", "gpt3-175b", "--set", "sofware=x"], "unknown field 'sofware'"),
        (["run", "deepseek-v3", "--set", "memory_headroom=1"], "more than 0.5"),
        (["run", "deepseek-v3", "--set", "x"], "is not PATH=VALUE"),
        (["run", "deepseek-v3", "--set", "plan.pp="], "is not PATH=VALUE"),
        (["run", "deepseek-v3", "--set", "a.b=3"], "unknown field 'a'"),
        (["run", "deepseek-v3", "--set", "name.b=3"], "'name' has no parts"),
        (
            ["run", "deepseek-v3", "--set", "phases.9.seq_len=3"],
            "write a number from 0 to 2",
        ),
        (
            ["run", "deepseek-v3", "--set", "cluster.fabric.bytes_per_s=5 W"],
            "B/s is expected",
        ),
        (
            ["run", "deepseek-v3", "--set", "cluster.fabric.bytes_per_s=nan"],
            "not a finite",
        ),
        (
            ["run", "deepseek-v3", "--set", "cluster.fabric.bytes_per_s=-1"],
            "not positive",
        ),
        (
            ["run", "deepseek-v3", "--set", "cluster.fabric.oversubscription=0.5"],
            "greater than or equal to 1",
        ),
        (
            ["run", "deepseek-v3", "--set", "cluster.num_gpus=1e12"],
            "less than or equal",
        ),
        (
            ["run", "deepseek-v3", "--set", "plan.pp=8"],
            "has 16 stages, but dualpipe on 8 ranks runs 8",
        ),
        (["run", "deepseek-v3", "--set", "cluster.node=hgx-a100"], "has no fp8 rate"),
        (
            [
                "sweep",
                "deepseek-v3",
                "--vary",
                "plan.zero=0,1",
                "--out",
                "x.csv",
                "--dask",
                "",
            ],
            "--dask has no address",
        ),
        (["list", "gpus"], "try 'gpu'"),
        (["show", "gpu", "h900"], "there is no gpu called 'h900'"),
        (["schema", "schedule"], "has no JSON Schema"),
        (["compare", "deepseek-v3"], "compare takes 2 to 64 scenarios, not 1"),
        (["compare", "deepseek-v3", "--vary", "x"], "is not PATH=V1,V2,..."),
    ],
)
def test_a_wrong_request_is_one_message(run, arguments, problem):
    ran = run(*arguments)
    assert ran.status == 2
    assert problem in ran.err
    assert not ran.out
    assert "Traceback" not in ran.err
