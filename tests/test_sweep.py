"""Sweeps: rows equal single estimates, and survive interruption."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from estimator.answer.api import estimate
from estimator.answer.walk import Walk
from estimator.catalog import building, loading
from estimator.catalog.nearest import nearest
from estimator.explore import axes, designs, points
from estimator.explore.sweeps import sweep
from estimator.ground.errors import EstimatorError, InputError, OutsideError
from estimator.ground.lanes import Diverged, in_agreement, lanes, largest

pytest.importorskip("pyarrow")

FIELDS = ("gpu_hours", "wall_s", "cost_usd")
BASE = "deepseek-v3"
SMALL = ["--set", "plan.schedule=1f1b"]
LHS = ("--design", "lhs")
START = [sys.executable, "-c", "from estimator.faces.cli.main import main; main()"]


@pytest.fixture
def in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def command(*arguments):
    return subprocess.Popen(
        [*START, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": str(Path(loading.__file__).parents[2])},
    )


def single(name, patches):
    """Return what a row should hold, from ``estimate`` or the error it raises."""
    varied = [patch.partition("=")[0] for patch in patches]
    try:
        found = nearest(loading.scenario_document(name, patches), name, varied)
        report = estimate(found.scenario, has_range=False)
    except EstimatorError:
        return None
    return {
        **{field: getattr(report, field) for field in FIELDS},
        "step_s": report.step.step_s,
        "mfu": report.step.mfu,
        "peak_bytes": report.memory.peak_bytes,
        "fits": report.memory.fits,
        "fits_with_headroom": report.memory.fits_with_headroom,
    }


@pytest.mark.slow
def test_rows_equal_single_estimates_on_200_random_points():
    rng = np.random.default_rng(7)
    vary = [
        "cluster.fabric.bytes_per_s=12.5e9:110e9:40",
        "cluster.num_gpus=1024,2048,3000,4096,8192",
        "cluster.node.nvlink_bytes_per_s=100 GB/s,200 GB/s,450 GB/s",
        "cluster.node.gpu.achievable.gemm.fp8=0.5:0.95:4",
        "plan.schedule=dualpipe,1f1b",
        "software.communication.experts=true,false",
        "price.usd_per_gpu_hour=1.5,2,4",
        "memory_headroom=0.05,0.2",
    ]
    document = loading.scenario_document(BASE)
    made = axes.axes(vary, document, building.build("scenario", document, BASE))
    assert len(designs.Design("grid", tuple(made))) == 40 * 5 * 3 * 4 * 2 * 2 * 3 * 2
    rows = sweep(BASE, vary).frame()
    assert list(rows["point"]) == list(range(len(rows)))
    for point in rng.choice(len(rows), 200, replace=False):
        row = rows.iloc[point]
        patches = [
            f"{axis.path}={json.dumps(row[axis.path].item() if hasattr(row[axis.path], 'item') else row[axis.path])}"
            for axis in made
        ]
        expected = single(BASE, patches)
        if expected is None:
            assert not row["fits"]
            assert row["reason"]
            assert np.isnan(row["gpu_hours"])
        else:
            assert {name: row[name] for name in expected} == pytest.approx(
                expected, rel=1e-9
            )


DRAWN = [
    "cluster.fabric.bytes_per_s=25 GB/s:100 GB/s",
    "cluster.num_gpus=1024:4096:4",
    "plan.micro_batch_size=1:2",
    "cluster.node=hgx-h800,hgx-h100",
    "price.usd_per_gpu_hour=1:3",
]


@pytest.mark.slow
@pytest.mark.parametrize("design", ["random", "lhs"])
def test_drawn_points_equal_single_estimates_and_repeat_with_the_seed(design):
    rows = sweep(BASE, DRAWN, SMALL[1::2], design=design, num_samples=24, seed=5)
    frame = rows.frame()
    assert list(frame["point"]) == list(range(24))
    assert frame["cluster.fabric.bytes_per_s"].between(25e9, 100e9).all()
    assert set(frame["cluster.num_gpus"]) == {1024, 2048, 3072, 4096}
    assert set(frame["plan.micro_batch_size"]) == {1, 2}
    assert set(frame["cluster.node"]) == {"hgx-h800", "hgx-h100"}
    paths = [text.partition("=")[0] for text in DRAWN]
    for _, row in frame.iterrows():
        patches = [*SMALL[1::2], *(f"{path}={row[path]}" for path in paths)]
        expected = single(BASE, patches)
        assert bool(expected) == np.isfinite(row["step_s"])
        if expected:
            found = {name: row[name] for name in expected}
            assert found == pytest.approx(expected, rel=1e-9)
    again = sweep(BASE, DRAWN, SMALL[1::2], design=design, num_samples=24, seed=5)
    pd.testing.assert_frame_equal(frame, again.frame())
    other = sweep(BASE, DRAWN, SMALL[1::2], design=design, num_samples=24, seed=6)
    assert not frame["price.usd_per_gpu_hour"].equals(
        other.frame()["price.usd_per_gpu_hour"]
    )


def test_a_latin_hypercube_has_one_point_in_each_interval():
    made = sweep(BASE, DRAWN[::4], design="lhs", num_samples=50).columns
    for path, low, high in (
        ("cluster.fabric.bytes_per_s", 25e9, 100e9),
        ("price.usd_per_gpu_hour", 1, 3),
    ):
        cells = np.floor((made[path] - low) / (high - low) * 50)
        assert sorted(cells) == list(range(50))


def test_drawn_rates_of_one_scenario_are_one_batch():
    document = loading.scenario_document(BASE)
    made = axes.axes(
        DRAWN[::4],
        document,
        building.build("scenario", document, BASE),
        is_drawn=True,
    )
    (task,) = points.tasks(designs.drawn("random", made, 1000, seed=1))
    (part,) = task.parts
    assert len(part.points) == 1000
    assert set(part.rates) == {text.partition("=")[0] for text in DRAWN[::4]}


def test_a_drawn_sweep_resumes_with_its_seed_only(run, in_folder):
    arguments = ["sweep", BASE, "--vary", DRAWN[4], "--design", "lhs", "--samples", "9"]
    arguments += ["--out", "rows.csv"]
    assert run(*arguments, "--seed", "4").status == 0
    manifest = json.loads((in_folder / "rows.csv.manifest.json").read_text())
    assert (manifest["design"], manifest["seed"]) == ("lhs", 4)
    rows = (in_folder / "rows.csv").read_text()
    assert run(*arguments, "--seed", "4", "--resume").status == 0
    assert (in_folder / "rows.csv").read_text() == rows
    other = run(*arguments, "--seed", "5", "--resume")
    assert other.status == 2
    assert "not the same: seed" in other.err


def test_lanes_take_every_branch():
    rates = np.array([1.0, 2.0, 3.0, 4.0])

    def formula(rate):
        made = 10.0 / rate if rate > 2 else rate * rate
        return max(made, 3.4) + round(rate)

    def evaluate(index):
        return {"x": formula(lanes(rates[index]))}

    found = np.zeros(4)
    for index, made in in_agreement(evaluate, 4):
        found[index] = made["x"]
    assert found.tolist() == [formula(rate) for rate in rates]
    with pytest.raises(Diverged):
        bool(lanes(rates) > 2)
    assert largest(2.5, lanes(rates)).tolist() == [2.5, 2.5, 3.0, 4.0]


def test_a_price_sweep_leaves_time_as_it_is():
    made = sweep(BASE, ["price.usd_per_gpu_hour=1:3:5"])
    columns = made.columns
    assert len(set(columns["gpu_hours"])) == 1
    assert np.allclose(
        columns["cost_usd"],
        columns["gpu_hours"] * columns["price.usd_per_gpu_hour"],
        rtol=1e-12,
    )


def test_infeasible_points_are_rows_with_their_reason():
    made = sweep(BASE, ["plan.pp=16,8", "recompute=none,full"])
    reasons = list(made.columns["reason"])
    assert "GB of" in reasons[0]
    assert not reasons[1]
    assert "stage_layout has 16 stages" in reasons[2]
    assert made.num_fitting == 1
    assert made.cheapest()["recompute"] == "full"


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_files_hold_the_rows_and_a_manifest(run, in_folder, suffix):
    vary = ["--vary", "cluster.fabric=ib-ndr-rail-optimised,ib-hdr-rail-optimised"]
    more = ["--vary", "recompute=none,full", "--vary", "price.usd_per_gpu_hour=1:2:3"]
    made = run("sweep", BASE, *vary, *more, "--out", f"rows.{suffix}", "--json")
    assert made.status == 0
    assert made.json["num_points"] == 12
    reader = pd.read_csv if suffix == "csv" else pd.read_parquet
    rows = reader(in_folder / f"rows.{suffix}")
    assert len(rows) == 12
    assert set(rows["recompute"]) == {"none", "full"}
    assert list(rows["price.usd_per_gpu_hour"][:3]) == [1.0, 1.5, 2.0]
    manifest = json.loads((in_folder / f"rows.{suffix}.manifest.json").read_text())
    assert manifest["num_points"] == 12
    assert {"version", "seed", "command", "scenario_sha256"} <= set(manifest)
    assert not list(in_folder.glob("*.parts"))
    again = run("sweep", BASE, *vary, *more, "--out", f"rows.{suffix}", "--resume")
    assert again.status == 0
    assert "12 points" in again.out
    assert again.err == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "a sweep varies something"),
        (("--vary", "cluster.num_gpus="), "has no values"),
        (("--vary", "cluster.num_gpus=1:2:0"), "empty range"),
        (("--vary", "cluster.fabrik.bytes_per_s=1:2:3"), "there is no path"),
        (("--vary", "plan.overlap.tensr=none"), "there is no path"),
        (("--vary", "cluster.fabric=ib-xyz"), "there is no fabric"),
        (("--vary", "cluster.fabric.bytes_per_s=1 GB"), "B/s is expected"),
        (
            ("--vary", "cluster.fabric.oversubscription=0.5,2"),
            "greater than or equal to 1",
        ),
        (("--vary", "plan.pp=sixteen"), "valid integer"),
        (("--vary", "cluster.num_gpus=1:2:1000000000000"), "000 points"),
        (("--vary", "cluster.num_gpus=1024:2048"), "no number of values"),
        (("--vary", "plan.schedule=1:3:3"), "plan.schedule"),
        (("--samples", "9", "--vary", "cluster.num_gpus=1024:2048:2"), "a grid has"),
        (("--design", "lsh", "--vary", "cluster.num_gpus=8:9"), "try 'lhs'"),
        ((*LHS, "--vary", "cluster.num_gpus=8:9"), "--samples 100"),
        ((*LHS, "--samples", "0", "--vary", "cluster.num_gpus=8:9"), "not 0"),
        ((*LHS, "--samples", "-3", "--vary", "cluster.num_gpus=8:9"), "not -3"),
        (
            (*LHS, "--samples", "1000000000000", "--vary", "cluster.num_gpus=8:9"),
            "not 1,000,000,000,000",
        ),
        (
            (*LHS, "--samples", "9", "--seed", "-1", "--vary", "cluster.num_gpus=8:9"),
            "not negative",
        ),
        (
            (*LHS, "--samples", "9", "--seed", "x", "--vary", "cluster.num_gpus=8:9"),
            "'--seed'",
        ),
        ((*LHS, "--samples", "9", "--vary", "cluster.num_gpus=9:8"), "empty range"),
        (
            (*LHS, "--samples", "9", "--vary", "cluster.num_gpus=8:9:1000000000000"),
            "000 points",
        ),
        (
            ("--vary", "cluster.num_gpus=1024", "--vary", "cluster.num_gpus=2048"),
            "would replace it",
        ),
    ],
)
def test_impossible_requests_get_one_message(run, in_folder, arguments, message):
    made = run("sweep", BASE, *arguments, "--out", "rows.parquet")
    assert made.status == 2
    assert message in made.err
    assert "Traceback" not in made.err
    assert not list(in_folder.iterdir())


@pytest.mark.parametrize("out", ["missing/rows.parquet", "rows.xls", "."])
def test_an_output_that_cannot_be_written_is_refused_first(run, in_folder, out):
    made = run("sweep", BASE, "--vary", "cluster.num_gpus=1024", "--out", out)
    assert made.status == 2
    assert out in made.err
    assert not list(in_folder.iterdir())


def test_parts_of_another_sweep_are_not_mixed_in(run, in_folder):
    first = ["--vary", "price.usd_per_gpu_hour=1:2:3", "--out", "rows.csv"]
    assert run("sweep", BASE, *first).status == 0
    other = ["--vary", "price.usd_per_gpu_hour=1:2:4", "--out", "rows.csv"]
    made = run("sweep", BASE, *other, "--resume")
    assert made.status == 2
    assert "another sweep" in made.err
    (in_folder / "rows.csv.parts").mkdir()
    made = run("sweep", BASE, *first)
    assert made.status == 2
    assert "--resume" in made.err


def wait_for(condition, seconds=30):
    end_s = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end_s, "nothing happened"
        time.sleep(0.01)


@pytest.mark.slow
def test_a_killed_sweep_resumes_and_loses_nothing(run, in_folder):
    grid = ["cluster.num_gpus=1024:20480:20", "cluster.fabric.bytes_per_s=2e10:9e10:9"]
    vary = [text for axis in grid for text in ("--vary", axis)]
    arguments = ["sweep", BASE, *SMALL, *vary, "--out", "rows.parquet", "--jobs", "1"]
    parts = in_folder / "rows.parquet.parts"
    started = command(*arguments)
    wait_for(lambda: list(parts.glob("part-*.parquet")))
    os.kill(started.pid, signal.SIGKILL)
    started.wait()
    assert parts.is_dir()
    assert not (in_folder / "rows.parquet").exists()
    refused = run(*arguments)
    assert refused.status == 2
    assert "--resume" in refused.err
    assert run(*arguments, "--resume").status == 0
    resumed = pd.read_parquet(in_folder / "rows.parquet")
    whole = sweep(BASE, grid, SMALL[1::2]).frame()
    pd.testing.assert_frame_equal(resumed, whole)
    assert not parts.exists()


@pytest.mark.slow
def test_processes_give_the_rows_of_one_and_leave_the_script_alone(
    monkeypatch, tmp_path
):
    script = ModuleType("__main__")
    script.__file__ = str(tmp_path / "script.py")
    Path(script.__file__).write_text("raise SystemExit(3)")
    monkeypatch.setitem(sys.modules, "__main__", script)
    monkeypatch.setattr("estimator.ground.executors.WORTH_STARTING_S", 0.0)
    vary = ["cluster.num_gpus=1024:20480:20"]
    alone = sweep(BASE, vary, SMALL[1::2]).frame()
    together = sweep(BASE, vary, SMALL[1::2], jobs=2).frame()
    pd.testing.assert_frame_equal(alone, together)


@contextmanager
def dask_cluster(folder, num_workers):
    environment = os.environ | {"PYTHONPATH": str(Path(loading.__file__).parents[2])}
    address_file = folder / "scheduler.json"
    dask = [sys.executable, "-m", "dask"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    scheduler = subprocess.Popen(
        [
            *dask,
            *("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"),
            *("--scheduler-file", str(address_file)),
        ],
        env=environment,
        **quiet,
    )
    started = [scheduler]
    try:
        wait_for(lambda: address_file.exists() and address_file.stat().st_size)
        address = json.loads(address_file.read_text())["address"]
        options = ["--nthreads", "1", "--no-nanny", "--no-dashboard"]
        started += [
            subprocess.Popen(
                [*dask, "worker", address, *options], env=environment, **quiet
            )
            for _ in range(num_workers)
        ]
        yield address, started
    finally:
        for process in started:
            process.kill()
            process.wait()


@pytest.mark.slow
def test_a_dask_cluster_loses_a_worker_and_no_row(tmp_path):
    distributed = pytest.importorskip("distributed")
    vary = ["cluster.num_gpus=1024:40960:40", "cluster.fabric.bytes_per_s=2e10:9e10:9"]
    out = tmp_path / "rows.parquet"
    with dask_cluster(tmp_path, 2) as (address, started):
        with distributed.Client(address, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=20)
        killed = []

        def kill_one(done, total):
            if not killed and done < total:
                started[1].kill()
                killed.append(done)

        made = sweep(BASE, vary, SMALL[1::2], out=out, dask=address, progress=kill_one)
    assert killed
    pd.testing.assert_frame_equal(made.frame(), sweep(BASE, vary, SMALL[1::2]).frame())


@pytest.mark.slow
def test_a_dask_scheduler_that_ends_is_one_failure_and_the_rows_are_kept(
    tmp_path, monkeypatch
):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr("estimator.ground.executors.DASK_TIMEOUT", "1s")
    monkeypatch.setattr("estimator.explore.points.COMBINATIONS_PER_TASK", 1)
    vary = ["cluster.num_gpus=1024:20480:20"]
    out = tmp_path / "rows.csv"
    with dask_cluster(tmp_path, 1) as (address, started):
        with distributed.Client(address, set_as_default=False) as client:
            client.wait_for_workers(1, timeout=20)
        with pytest.raises(OutsideError, match="the Dask cluster was lost") as lost:
            sweep(
                *(BASE, vary, SMALL[1::2]),
                out=out,
                dask=address,
                progress=lambda *_: started[0].kill(),
            )
    assert "parts are kept in" in lost.value.why
    made = sweep(BASE, vary, SMALL[1::2], out=out, resume=True)
    pd.testing.assert_frame_equal(made.frame(), sweep(BASE, vary, SMALL[1::2]).frame())


@pytest.mark.slow
def test_workers_of_another_version_are_refused_before_any_work(tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr("estimator.ground.executors.version", lambda name: "99.0")
    out = tmp_path / "rows.parquet"
    with dask_cluster(tmp_path, 1) as (address, _):
        with distributed.Client(address, set_as_default=False) as client:
            client.wait_for_workers(1, timeout=20)
        with pytest.raises(
            InputError, match=r"another version of estimator than 99\.0"
        ):
            sweep(BASE, ["cluster.num_gpus=1024"], out=out, dask=address)
    assert not out.exists()


@pytest.mark.slow
def test_no_scheduler_is_said_before_any_work(monkeypatch):
    monkeypatch.setattr("estimator.ground.executors.DASK_TIMEOUT", "1s")
    pytest.importorskip("distributed")
    with pytest.raises(InputError, match="no Dask scheduler answers"):
        sweep(BASE, ["cluster.num_gpus=1024"], dask="tcp://127.0.0.1:1")


def test_the_batch_evaluation_is_the_estimate(deepseek, report):
    made = Walk(deepseek).answer()
    assert made.gpu_hours == pytest.approx(report.gpu_hours, rel=1e-12)
    assert made.step_s == pytest.approx(report.step.step_s, rel=1e-12)
    assert made.mfu == pytest.approx(report.step.mfu, rel=1e-12)
    assert made.peak_bytes == report.memory.peak_bytes


def test_a_sweep_names_the_basis_of_its_dollars():
    owned = sweep(BASE, ["cluster.fabric.bytes_per_s=4e10,5e10"], ["price=owned-h800"])
    assert owned.cost_basis.startswith("owned GPUs (owned-h800")
    priced = sweep(BASE, ["price.usd_per_gpu_hour=1,2"])
    assert priced.cost_basis == "as each point says"
