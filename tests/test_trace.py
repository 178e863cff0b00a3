"""``estimator trace``: the file is read back and says what was simulated."""

import gzip
import json
from collections import defaultdict
from itertools import pairwise

import pytest

from estimator.answer.breakdown import executed_flop
from estimator.answer.step_model import StepModel
from estimator.catalog.loading import load_scenario
from estimator.faces.cli.main import cli
from estimator.ground import files
from estimator.ground.errors import OutsideError
from estimator.schedules.notation import Op
from estimator.show import perfetto
from estimator.show.perfetto import PASSES

SMALL = ("--set", "phases.0.global_batch_size=4096")
OPERATION = {"operation", "layer", "seconds", "flop", "bytes"}
KEYS = {"ph", "name", "cat", "pid", "tid", "ts", "dur", "args"}
PLACE = {"microbatch", "stage", "direction", "pass"}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    made = tmp_path_factory.mktemp("trace") / "step.json.gz"
    cli(["trace", "deepseek-v3", "--out", str(made)], standalone_mode=False)
    return made


@pytest.fixture(scope="module")
def document(path):
    return json.loads(gzip.decompress(path.read_bytes()))


@pytest.fixture(scope="module")
def slices(document):
    return [event for event in document["traceEvents"] if event["ph"] == "X"]


@pytest.fixture(scope="module")
def names(document):
    """Process and thread names, by number."""
    made = {"process_name": {}, "thread_name": {}}
    for event in document["traceEvents"]:
        if event["name"] in made:
            key = (event["pid"], event.get("tid"))
            assert key not in made[event["name"]]
            made[event["name"]][key] = event["args"]["name"]
    return made


@pytest.fixture(scope="module")
def tracks(slices, names):
    """Slices by rank and thread name."""
    made = defaultdict(list)
    for event in slices:
        thread = names["thread_name"][event["pid"], event["tid"]]
        made[event["pid"], thread].append(event)
    return made


@pytest.mark.slow
def test_events_are_complete_and_of_two_kinds(document):
    for event in document["traceEvents"]:
        if event["ph"] == "M":
            assert {"name", "pid", "args"} <= event.keys()
            continue
        assert event["ph"] == "X"
        assert event.keys() == KEYS
        assert event["ts"] >= 0
        assert event["dur"] > 0


@pytest.mark.slow
def test_slices_are_sorted_by_their_start(slices):
    assert all(a["ts"] <= b["ts"] for a, b in pairwise(slices))


@pytest.mark.slow
def test_no_two_slices_of_a_track_overlap(tracks):
    for events in tracks.values():
        assert all(a["ts"] + a["dur"] <= b["ts"] for a, b in pairwise(events))


@pytest.mark.slow
def test_the_span_is_the_simulated_step(slices, report, document):
    assert min(event["ts"] for event in slices) == 0
    span_us = max(event["ts"] + event["dur"] for event in slices)
    assert span_us / 1e6 == pytest.approx(report.step.step_s, rel=1e-6)
    assert document["otherData"]["step_s"] == pytest.approx(report.step.step_s)


@pytest.mark.slow
def test_a_process_is_a_rank_and_a_thread_a_stream(names):
    assert sorted(names["process_name"]) == [(rank, None) for rank in range(16)]
    assert names["process_name"][3, None] == "rank 3, stages 3, 12"
    threads = defaultdict(list)
    for (rank, _), name in sorted(names["thread_name"].items()):
        threads[rank].append(name)
    streams = ["schedule", "compute", "communication"]
    assert threads[0] == [*streams, "send to 1"]
    assert threads[3] == [*streams, "send to 2", "send to 4"]
    assert len(threads) == 16


@pytest.mark.slow
def test_no_thread_passes_for_the_main_thread_of_its_process(names):
    numbers = [tid for _, tid in names["thread_name"]]
    assert len(set(numbers)) == len(numbers)
    assert not set(numbers) & {rank for rank, _ in names["process_name"]}


@pytest.mark.slow
def test_the_schedule_s_slices_are_the_rank_s_busy_time(tracks, report):
    for row in report.step.ranks:
        events = tracks[row.rank, "schedule"]
        busy_us = sum(event["dur"] for event in events)
        idle_s = row.bubble_s + row.optimizer_s
        assert busy_us / 1e6 == pytest.approx(row.total_s - idle_s, rel=1e-5)


@pytest.mark.slow
def test_an_operation_lies_inside_its_instruction(tracks):
    for rank in range(16):
        chunks = iter(tracks[rank, "schedule"])
        chunk = next(chunks)
        for event in tracks[rank, "compute"]:
            if event["cat"] == "optimizer":
                continue
            while event["ts"] >= chunk["ts"] + chunk["dur"]:
                chunk = next(chunks)
            assert chunk["ts"] <= event["ts"]
            assert event["ts"] + event["dur"] <= chunk["ts"] + chunk["dur"]
            is_forward = event["args"]["pass"] == PASSES[Op.F]
            half = chunk["args"].get("forward" if is_forward else "backward")
            for key in ("microbatch", "stage", "direction"):
                assert event["args"][key] == (half or chunk["args"])[key]


@pytest.mark.slow
def test_operations_say_what_they_are(slices):
    for event in slices:
        args = event["args"]
        if event["cat"] in {"compute", "communication"}:
            assert args.keys() >= OPERATION | PLACE
            assert event["name"] == f"{args['layer']} {args['operation']}"
            spent_us = sum(args["seconds"].values()) * 1e6
            assert spent_us == pytest.approx(event["dur"], rel=1e-4, abs=0.5)
            assert args["bytes"] > 0
        elif event["cat"] == "send":
            assert args.keys() == PLACE | {"bytes"}
            assert (
                event["name"]
                == f"send {args['stage']}{args['pass'][0].upper()}{args['microbatch']}"
            )


@pytest.mark.slow
def test_a_micro_batch_s_direction_is_where_it_enters(slices):
    for event in slices:
        if event["name"] == "embedding F":
            assert event["pid"] == (15 if event["args"]["direction"] else 0)
            assert event["args"]["direction"] == (event["args"]["microbatch"] >= 60)


@pytest.mark.slow
def test_the_trace_holds_all_flop_of_the_step(slices, deepseek):
    flop = sum(event["args"].get("flop", 0) for event in slices)
    work = StepModel(deepseek, 4096).chunks()
    assert flop == pytest.approx(120 * executed_flop(work), rel=1e-9)


@pytest.mark.slow
def test_the_optimizer_phase_ends_each_rank(tracks, slices, report):
    end_us = max(event["ts"] + event["dur"] for event in slices)
    began = set()
    for rank in range(16):
        events = sorted(
            (
                event
                for stream in ("compute", "communication")
                for event in tracks[rank, stream]
                if event["cat"] == "optimizer"
            ),
            key=lambda event: event["ts"],
        )
        assert {event["name"] for event in events} == set(report.step.optimizer_parts)
        assert events[0]["name"].startswith("reduce-scatter")
        assert events[-1]["ts"] + events[-1]["dur"] == end_us
        assert all(a["ts"] + a["dur"] == b["ts"] for a, b in pairwise(events))
        began.add(events[0]["ts"])
    (start_us,) = began
    rest = [event for event in slices if event["cat"] != "optimizer"]
    assert max(event["ts"] + event["dur"] for event in rest) == start_us


@pytest.mark.slow
def test_the_file_is_small_and_the_same_each_time(path, tmp_path):
    assert path.stat().st_size < 3e6
    again = tmp_path / "other.json.gz"
    cli(["trace", "deepseek-v3", "--out", str(again)], standalone_mode=False)
    assert again.read_bytes() == path.read_bytes()


FSDP = "model=llama-3-70b plan.stage_layout=even plan.ep=1 plan.pp=4 plan.zero=3"
OTHERS = [
    ("@1f1b", ""),
    ("@no-overlap", ""),
    ("@1f1b+bf16+h100", ""),
    ("@1f1b", f"{FSDP} cluster.num_gpus=128"),
    ("", "plan.pp=8 plan.schedule=dualpipe-v plan.stage_layout=even"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("variant", "overrides"), OTHERS)
def test_other_plans_are_traced_whole(run, tmp_path, variant, overrides):
    out, name = tmp_path / "step.json", f"deepseek-v3{variant}"
    options = [*SMALL]
    for override in overrides.split():
        options += ["--set", override]
    ran = run("trace", name, "--out", str(out), *options)
    assert (ran.status, ran.out) == (0, "")
    assert str(out) in ran.err
    (made,) = run("run", name, *options, "--json").json
    tracks = defaultdict(list)
    for event in json.loads(out.read_text())["traceEvents"]:
        if event["ph"] == "X":
            tracks[event["pid"], event["tid"]].append(event)
    assert len({rank for rank, _ in tracks}) == len(made["step"]["ranks"])
    ends = [events[-1]["ts"] + events[-1]["dur"] for events in tracks.values()]
    assert max(ends) / 1e6 == pytest.approx(made["step"]["step_s"], rel=1e-6)
    for events in tracks.values():
        assert all(a["ts"] + a["dur"] <= b["ts"] for a, b in pairwise(events))


@pytest.mark.slow
def test_what_is_recomputed_belongs_to_the_backward_half(run, tmp_path):
    out = tmp_path / "step.json"
    run("trace", "deepseek-v3", "--out", str(out), *SMALL, "--set", "recompute=full")
    events = json.loads(out.read_text())["traceEvents"]
    rows = [event for event in events if event["pid"] == 2 and event["ph"] == "X"]
    again = [event for event in rows if event["name"].endswith("again F")]
    pairs = [event for event in rows if event["name"].endswith("OVERLAP_F_B")]
    assert {event["args"]["pass"] for event in again} == {PASSES[Op.I]}
    inside = 0
    for pair in pairs:
        half = pair["args"]["backward"]
        for event in again:
            if 0 <= event["ts"] - pair["ts"] < pair["dur"]:
                assert event["args"]["microbatch"] == half["microbatch"]
                inside += 1
    assert inside == 4 * 2 * len(pairs) > 0


@pytest.mark.slow
def test_quiet_says_nothing(run, tmp_path):
    ran = run("trace", "deepseek-v3", "--out", str(tmp_path / "a.json"), *SMALL, "-q")
    assert (ran.status, ran.out, ran.err) == (0, "", "")


REFUSED = {
    "suffix": ("step.csv", "step.csv does not end in .json or .json.gz"),
    "no suffix": ("step", "try step.json.gz"),
    "folder": ("nowhere/step.json", "there is no folder nowhere for step.json"),
    "below a file": ("file/step.json", "there is no folder file"),
    "a folder": ("made.json", "made.json is a folder"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_target_is_refused_before_anything_is_simulated(
    run, tmp_path, monkeypatch, case
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("estimator.answer.api.traced_step", None)
    (tmp_path / "file").touch()
    (tmp_path / "made.json").mkdir()
    out, said = REFUSED[case]
    ran = run("trace", "deepseek-v3", "--out", out)
    assert (ran.status, ran.out) == (2, "")
    assert said in ran.err
    assert len(list(tmp_path.iterdir())) == 2


def test_a_wrong_scenario_is_refused(run, tmp_path):
    ran = run("trace", "deepsek-v3", "--out", str(tmp_path / "a.json"))
    assert ran.status == 2
    assert "try 'deepseek-v3'" in ran.err
    assert not list(tmp_path.iterdir())


def test_a_step_that_is_too_long_is_refused(run, tmp_path):
    option = ("--set", "phases.0.global_batch_size=1024000")
    ran = run("trace", "deepseek-v3", "--out", str(tmp_path / "a.json"), *option)
    assert ran.status == 2
    assert "a trace shows at most 500,000" in ran.err


def test_a_full_disk_leaves_no_half_written_file(tmp_path, monkeypatch):
    target = tmp_path / "step.json.gz"
    target.write_bytes(b"before")

    def full(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "_write_parts", full)
    with pytest.raises(OutsideError, match="cannot be written") as error:
        files.write_trace(target, [], {})
    assert error.value.why == "No space left on device"
    assert target.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [target]


def test_passes_over_gradients_stand_where_they_happen():
    scenario = load_scenario(
        "gpt3-175b",
        [
            "precision=fp16",
            "software.gradients.passes=[average, check]",
            "phases.0.global_batch_size=128",
        ],
    )
    model = StepModel(scenario, 2048)
    names = [
        event["name"]
        for event in perfetto.events(model.traced(8))
        if event.get("cat") == "optimizer" and event["pid"] == 1
    ]
    assert names == [
        "check gradients",
        "average gradients",
        "reduce-scatter of shared gradients",
        "all-reduce of tied gradients",
        "unscale gradients",
        "norm and clipping",
        "Adam",
        "all-gather of shared weights",
        "clear and cast",
    ]
