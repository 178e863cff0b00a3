"""How commands end: interrupted, unread, unwritten; always one line or none."""

import errno
import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from estimator.catalog import loading
from estimator.faces.cli.main import cli
from estimator.faces.endings import ended
from estimator.ground import files
from estimator.ground.errors import InputError, OutsideError

MODULE = [sys.executable, "-m", "estimator.faces"]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(loading.__file__).parents[2])}
WRITERS = {
    "run": ["run", "gpt3-175b", "--out", "{}/r.csv"],
    "compare": ["compare", "gpt3-175b", "deepseek-v3", "--out", "{}/r.md"],
    "validate": ["validate", "--family", "sc21", "--out", "{}/r.html"],
    "schedule": ["schedule", "1f1b", "--csv", "{}/r.csv"],
    "chart": ["schedule", "1f1b", "--chart", "{}/r.html"],
    "trace": ["trace", "gpt3-175b", "--out", "{}/r.json"],
    "report": ["report", "gpt3-175b", "--out", "{}/r.html"],
    "charts": ["report", "gpt3-175b", "--charts", "{}/folder"],
    "sweep": ["sweep", "gpt3-175b", "--vary", "plan.pp=8", "--out", "{}/r.csv"],
    "import": ["import-hf", "config.json", "--out", "{}/r.yaml"],
}
ENTRIES = {
    "run": ("estimator.answer.api.estimate", ["run", "gpt3-175b"]),
    "compare": ("estimator.explore.comparison.compare", ["compare", "gpt3-175b"]),
    "plan": ("estimator.explore.plan.search.evaluated", ["plan", "gpt3-175b"]),
    "uncertainty": (
        "estimator.explore.uncertainty.answers",
        ["uncertainty", "gpt3-175b"],
    ),
    "validate": ("estimator.validation.runs.validate", ["validate"]),
    "import": ("estimator.catalog.reading.read_text", ["import-hf", "config.json"]),
    "trace": (
        "estimator.answer.api.traced_step",
        ["trace", "gpt3-175b", "--out", "t.json"],
    ),
}


@pytest.fixture(autouse=True)
def in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def interrupt(*_arguments, **_options):
    raise KeyboardInterrupt


@pytest.mark.slow
@pytest.mark.parametrize("name", ENTRIES)
def test_ctrl_c_ends_a_command_with_one_line(run, monkeypatch, name):
    where, arguments = ENTRIES[name]
    monkeypatch.setattr(where, interrupt)
    ran = run(*arguments)
    line = f"interrupted; to begin again: estimator {' '.join(arguments)}\n"
    assert (ran.status, ran.out, ran.err) == (130, "", line)
    assert not list(Path().iterdir())


@pytest.mark.slow
def test_ctrl_c_while_it_loads_is_one_line_too(tmp_path):
    (tmp_path / "typer.py").write_text(
        "import os, signal\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "os.kill(os.getpid(), signal.SIGINT)\n"
    )
    paths = os.pathsep.join([str(tmp_path), ENVIRONMENT["PYTHONPATH"]])
    ran = subprocess.run(
        [*MODULE, "list", "gpu"],
        env=ENVIRONMENT | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode in (130, -signal.SIGINT)
    assert ran.stderr == "interrupted; to begin again: estimator list gpu\n"


@pytest.mark.slow
@pytest.mark.parametrize("name", WRITERS)
def test_a_place_that_cannot_be_written_is_refused_in_one_message(run, name):
    Path("config.json").write_text('{"model_type": "llama"}')
    for folder in ("nowhere", "config.json"):
        ran = run(*(word.format(folder) for word in WRITERS[name]))
        assert (ran.status, ran.out) == (2, "")
        assert f"{folder}/" in ran.err
        assert "Traceback" not in ran.err
    assert [path.name for path in Path().iterdir()] == ["config.json"]


def full(*_arguments, **_options):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["run", "schedule", "import"])
def test_a_full_disk_leaves_what_was_there(run, monkeypatch, name):
    monkeypatch.setattr(files, "_write_parts", full)
    monkeypatch.setattr(
        "estimator.catalog.foreign.huggingface.model_yaml", lambda *_: "name: x\n"
    )
    Path("config.json").write_text("{}")
    words = [word.format(".") for word in WRITERS[name]]
    words += ["--ranks", "2", "--microbatches", "2"] * (name == "schedule")
    target = Path(words[words.index("--csv" if name == "schedule" else "--out") + 1])
    target.write_text("before")
    ran = run(*words)
    assert (ran.status, ran.out) == (1, "")
    assert "cannot be written\n  why No space left on device" in ran.err
    assert target.read_text() == "before"
    assert len(list(Path().iterdir())) == 2


def test_whose_fault_a_file_is_decides_its_kind():
    for number, kind in ((errno.ENOSPC, OutsideError), (errno.EROFS, InputError)):
        made = files.refused(Path("x"), OSError(number, "so it is"))
        assert type(made) is kind


def command(*words, **options):
    return subprocess.run(
        [*MODULE, *words],
        env=ENVIRONMENT | options.pop("env", {}),
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        **options,
    )


SHORT = ["schedule", "zb-h1", "--ranks", "4", "--microbatches", "8"]


@pytest.mark.slow
@pytest.mark.parametrize("words", [SHORT, ["--help"]], ids=["rows", "help"])
def test_a_full_device_is_said_in_one_line(words):
    with Path("/dev/full").open("w") as device:
        ran = command(*words, stdout=device)
    assert ran.returncode == 1
    assert ran.stderr == "standard output failed: No space left on device\n"


@pytest.mark.slow
def test_a_closed_pipe_ends_quietly():
    reader, writer = os.pipe()
    os.close(reader)
    ran = command(*SHORT, stdout=writer)
    os.close(writer)
    assert ran.returncode == 1
    assert not ran.stderr


def test_a_folder_that_was_removed_is_blamed_and_not_the_output(run, monkeypatch):
    Path("gone").mkdir()
    monkeypatch.chdir("gone")
    Path("../gone").rmdir()
    ran = run("trace", "gpt3-175b", "--out", "t.json")
    assert ran.status == 1
    assert ran.err == "the current folder failed: No such file or directory\n"


@pytest.mark.parametrize("words", [SHORT, ["list", "gpu"]], ids=["grid", "table"])
def test_a_closed_output_is_no_reason_to_fail(monkeypatch, words):
    monkeypatch.setattr(sys, "stdout", None)
    assert ended(lambda: cli(words, standalone_mode=False)) == 0


def test_signs_that_a_terminal_cannot_show_are_replaced(run, monkeypatch):
    shown = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", shown)
    assert ended(lambda: shown.write("5 → 3 ≥ 15") and None) == 0
    assert shown.buffer.getvalue() == b"5 ? 3 ? 15"


@pytest.mark.parametrize("end", [0, 3, None, "words"])
def test_an_exit_status_is_passed_on(end):
    def command():
        raise SystemExit(end)

    assert ended(command) == {None: 0, "words": 1}.get(end, end)


def test_too_little_memory_is_one_line(capsys):
    def hungry():
        raise MemoryError

    assert ended(hungry) == 1
    assert capsys.readouterr().err == "there is not enough memory for this\n"
