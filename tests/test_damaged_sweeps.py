"""Sweeps that are killed, damaged, doubled or cut off: right rows, or one message."""

import errno
import json
import os
import signal
from pathlib import Path
from shutil import copytree, rmtree

import numpy as np
import pandas as pd
import pytest

from estimator.explore import store, sweeps
from estimator.explore.sweeps import sweep
from estimator.ground import executors
from estimator.ground.errors import InputError, OutsideError

pytest.importorskip("pyarrow")

NAME = "gpt3-175b"
VARY = ["cluster.num_gpus=1024,1536,2048", "price.usd_per_gpu_hour=1,2"]
ARGUMENTS = ["sweep", NAME, *(word for axis in VARY for word in ("--vary", axis))]


@pytest.fixture(autouse=True)
def one_combination_a_task(monkeypatch, tmp_path):
    monkeypatch.setattr("estimator.explore.points.COMBINATIONS_PER_TASK", 1)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def left(tmp_path_factory):
    """Both formats: what a sweep left that ended before its last part, and the rows."""
    folder = tmp_path_factory.mktemp("left")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("estimator.explore.points.COMBINATIONS_PER_TASK", 1)
        for suffix in ("csv", "parquet"):
            sweep(NAME, VARY, out=folder / f"whole.{suffix}")
            with patch.context() as failing:
                failing.setattr(store.Store, "finish", _die)
                with pytest.raises(_Died):
                    sweep(NAME, VARY, out=folder / f"rows.{suffix}")
    return folder


class _Died(BaseException):
    """As if the process had been killed."""


def _die(*_arguments):
    raise _Died


def emptied(part):
    part.write_bytes(b"")


def halved(part):
    part.write_bytes(part.read_bytes()[: part.stat().st_size // 2])


def random_bytes(part):
    part.write_bytes(np.random.default_rng(1).bytes(5000))


def garbled(part):
    part.write_bytes(part.read_bytes().replace(b"1", b"x"))


def renamed_header(part):
    part.write_bytes(part.read_bytes().replace(b"gpu_hours", b"gpu_h0urs"))


def lost_rows(part):
    part.write_bytes(b"".join(part.read_bytes().splitlines(keepends=True)[:-1]))


def another_part(part):
    part.write_bytes(part.with_stem("part-000002").read_bytes())
    record = part.with_name("record-000001.json")
    record.write_bytes(record.with_stem("record-000002").read_bytes())


def no_record(part):
    part.with_name("record-000001.json").unlink()


def foreign(part):
    """Rows of another sweep with a record that says so."""
    folder = part.parent
    record = folder / "record-000001.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"sweep": "other"}))


DAMAGE = [
    *(emptied, halved, random_bytes, garbled, renamed_header, lost_rows),
    *(another_part, no_record, foreign),
]


def laid_out(left, suffix):
    copytree(left / f"rows.{suffix}.parts", f"rows.{suffix}.parts")
    return Path(f"rows.{suffix}.parts") / f"part-000001.{suffix}"


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_a_damaged_part_is_computed_again_and_said(run, left, suffix, damage):
    damage(laid_out(left, suffix))
    made = run(*ARGUMENTS, "--out", f"rows.{suffix}", "--resume")
    assert made.status == 0
    assert made.err.count("\n") == 1
    assert f"part-000001.{suffix}: not as this sweep wrote it" in made.err
    whole = left / f"whole.{suffix}"
    assert Path(f"rows.{suffix}").read_bytes() == whole.read_bytes()
    assert not list(Path().glob("*.parts"))


@pytest.mark.parametrize("name", ["part-abc.csv", "part-000099.csv", "part-1.csv"])
def test_a_part_too_many_is_left_out_and_said(run, left, name):
    part = laid_out(left, "csv")
    part.with_name(name).write_bytes(part.read_bytes())
    made = run(*ARGUMENTS, "--out", "rows.csv", "--resume")
    assert (made.status, made.err.count("\n")) == (0, 1)
    assert f"{name}: not of this sweep, left out" in made.err
    assert Path("rows.csv").read_bytes() == (left / "whole.csv").read_bytes()


def test_a_missing_part_is_computed_and_the_others_are_not(left, monkeypatch):
    laid_out(left, "csv").unlink()
    asked = []
    task_columns = sweeps.points.task_columns
    monkeypatch.setattr(
        "estimator.explore.points.task_columns",
        lambda document, task: (
            asked.append(task.number) or task_columns(document, task)
        ),
    )
    sweep(NAME, VARY, out="rows.csv", resume=True)
    assert asked == [1]
    assert Path("rows.csv").read_bytes() == (left / "whole.csv").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("text", [None, "[]", "{", "", '"a"', "{}", "\0"])
@pytest.mark.parametrize("is_finished", [False, True])
def test_a_manifest_that_says_nothing_gives_right_rows_or_a_message(
    run, left, text, is_finished
):
    manifest = Path("rows.csv.parts/manifest.json")
    if is_finished:
        Path("rows.csv").write_bytes((left / "whole.csv").read_bytes())
        manifest = Path("rows.csv.manifest.json")
    else:
        laid_out(left, "csv")
    manifest.unlink(missing_ok=True) if text is None else manifest.write_text(text)
    made = run(*ARGUMENTS, "--out", "rows.csv", "--resume")
    assert made.status == (2 if is_finished else 0)
    assert ("whose rows rows.csv holds is not known" in made.err) == is_finished
    assert Path("rows.csv").read_bytes() == (left / "whole.csv").read_bytes()


@pytest.mark.slow
def test_rows_of_another_sweep_are_never_taken_for_its_own(run):
    other = [*ARGUMENTS, "--set", "model.num_layers=48", "--out"]
    assert run(*ARGUMENTS, "--out", "rows.csv").status == 0
    first = Path("rows.csv").read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store.Store, "write", _die)
        with pytest.raises(_Died):
            run(*other, "rows.csv")
    assert Path("rows.csv").read_bytes() == first
    rmtree("rows.csv.parts", ignore_errors=True)
    refused = run(*other, "rows.csv", "--resume")
    assert refused.status == 2
    assert "another sweep" in refused.err
    assert run(*other, "rows.csv").status == run(*other, "fresh.csv").status == 0
    assert Path("rows.csv").read_bytes() == Path("fresh.csv").read_bytes() != first


def test_a_damaged_output_is_computed_again(run, left):
    assert run(*ARGUMENTS, "--out", "rows.csv").status == 0
    lost_rows(Path("rows.csv"))
    made = run(*ARGUMENTS, "--out", "rows.csv", "--resume")
    assert (made.status, made.err.count("\n")) == (0, 1)
    assert Path("rows.csv").read_bytes() == (left / "whole.csv").read_bytes()


def test_a_file_that_an_axis_names_belongs_to_the_sweep(tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text("base: ib-ndr-rail-optimised\nname: mine\nbytes_per_s: 40 GB/s\n")
    vary = [f"cluster.fabric={mine},ib-ndr-rail-optimised"]
    sweep(NAME, vary, out="rows.csv")
    mine.write_text(mine.read_text().replace("40 GB/s", "30 GB/s"))
    with pytest.raises(InputError, match="another sweep"):
        sweep(NAME, vary, out="rows.csv", resume=True)


def test_the_second_sweep_into_a_file_is_told_who_holds_it(run):
    seen = []

    def second(_done, _total):
        if not seen:
            seen.append(run(*ARGUMENTS, "--out", "rows.csv", "--resume"))

    first = sweep(NAME, VARY, out="rows.csv", progress=second)
    assert len(first) == 6
    assert seen[0].status == 1
    assert f"is being written by process {os.getpid()} on " in seen[0].err
    assert not list(Path().glob("*.parts"))


def test_the_lock_of_a_process_that_has_ended_is_taken_over(run, left):
    laid_out(left, "csv")
    lock = Path("rows.csv.parts/lock")
    assert json.loads(lock.read_text())["pid"] == os.getpid()
    assert run(*ARGUMENTS, "--out", "rows.csv", "--resume").status == 0


def full(number):
    """Return a function that writes so many parts, then finds the disk full."""
    write_table, written = store.write_table, []

    def write(columns, path, suffix):
        if len(written) == number:
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(path)
        write_table(columns, path, suffix)

    return write


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 2, 3])
def test_a_full_disk_says_what_is_kept_and_how_to_go_on(run, left, number):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "write_table", full(number))
        made = run(*ARGUMENTS, "--out", "rows.csv")
    assert made.status == 1
    assert "No space left on device" in made.err
    assert f"{number} of 3 parts are kept in rows.csv.parts" in made.err
    if not number:
        assert not list(Path().iterdir())
        return
    assert made.err.endswith("--out rows.csv --resume\n")
    assert not list(Path().rglob("*.part"))
    assert run(*ARGUMENTS, "--out", "rows.csv", "--resume").status == 0
    assert Path("rows.csv").read_bytes() == (left / "whole.csv").read_bytes()


def test_ctrl_c_ends_a_sweep_with_the_line_that_resumes(run, monkeypatch):
    write = store.Store.write

    def once(self, number, columns):
        write(self, number, columns)
        raise KeyboardInterrupt

    monkeypatch.setattr(store.Store, "write", once)
    made = run(*ARGUMENTS, "--out", "rows.csv")
    assert (made.status, made.out, made.err.count("\n")) == (130, "", 1)
    assert "kept in rows.csv.parts: 1" in made.err
    assert made.err.endswith("--out rows.csv --resume\n")


def test_ctrl_c_before_the_first_part_leaves_nothing(run, monkeypatch):
    def interrupted(*_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("estimator.explore.points.task_columns", interrupted)
    made = run(*ARGUMENTS, "--out", "rows.csv")
    assert (made.status, made.err.count("\n")) == (130, 1)
    assert made.err.endswith("--out rows.csv\n")
    assert not list(Path().iterdir())


def kill_own_process(_task):
    os.kill(os.getpid(), signal.SIGKILL)


def ignores_ctrl_c(_task):
    os.kill(os.getpid(), signal.SIGINT)
    return True


def started(work):
    """Return what a worker makes of a task."""
    with executors.workers(1) as pool:
        with executors.starting():
            future = pool.submit(work, 0)
        return future.result()


@pytest.mark.slow
def test_a_killed_worker_is_one_failure():
    with pytest.raises(OutsideError, match="ended from outside"):
        started(kill_own_process)


@pytest.mark.slow
def test_ctrl_c_reaches_no_worker():
    assert started(ignores_ctrl_c)


def never_ends(_task):
    signal.pause()


def test_work_that_is_left_early_is_not_waited_for():
    def leave_early():
        with executors.workers(1) as pool:
            with executors.starting():
                pool.submit(never_ends, 0)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        leave_early()  # and comes back


@pytest.mark.parametrize("address", ["garbage://x y", "x", "tls://127.0.0.1:1"])
def test_an_address_that_is_none_leaves_nothing_behind(run, address):
    pytest.importorskip("distributed")
    made = run(*ARGUMENTS, "--out", "rows.csv", "--dask", address)
    assert made.status == 2
    assert made.err.startswith(f"no Dask scheduler answers at {address}\n")
    assert not list(Path().iterdir())


def test_columns_are_read_as_words_where_one_piece_has_some(monkeypatch):
    monkeypatch.setattr("estimator.ground.row_files.ROWS_AT_ONCE", 2)
    rows = pd.DataFrame({"point": range(4), "x": ["1", "2", "full", "3"]})
    rows.to_csv("rows.csv", index=False)
    made = store.read_tables([Path("rows.csv")], ".csv")
    assert made["point"].tolist() == [0, 1, 2, 3]
    assert made["x"].tolist() == ["1", "2", "full", "3"]
