"""``estimator schedule``: the picture, the figures, the files, and what it refuses."""

import os
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loops import each

from estimator.engine.bubble import pipeline_step
from estimator.ground import files
from estimator.ground.errors import InputError
from estimator.schedules.closed_form import durations
from estimator.schedules.notation import Op, Pipeline
from estimator.schedules.programs import program, schedule
from estimator.schedules.text import format_program
from estimator.show.findings.timeline import MOST_UNITS, schedule_timeline, windows
from estimator.show.grid import MOST_ROWS, draw
from estimator.show.pipelines import describe

NAMES = list(schedule)
SHAPE = ("--ranks", "4", "--microbatches", "8")
KEYS = [
    "schedule",
    "num_ranks",
    "num_microbatches",
    "step_s",
    "bubble_s",
    "inner_bubble_s",
    "bubble_fraction",
    "in_flight",
    "closed_form",
    "program",
]
PICTURE = """\
rank 0  F0 F1 F2 ............B0--- F3 B1--- ...B2--- ...B3---
rank 1  ...F0 F1 ......B0--- F2 B1--- F3 B2--- ...B3--- ......
rank 2  ......F0 B0--- F1 B1--- F2 B2--- F3 B3--- ............
        0 s                                               18 s
"""
INTERLEAVED = """\
rank 0  FFffF.b-Fb-fB-fB-.b-.b-B-B-
rank 1  .FFfb-fb-FB-FB-fb-fb-B-B-..
"""


@pytest.mark.parametrize("name", NAMES)
def test_json_has_the_agreed_keys_and_the_engine_s_figures(run, name):
    ran = run("schedule", name, *SHAPE, "--json")
    assert list(ran.json) == KEYS
    assert ran.json == pipeline_step(name, Pipeline(4, 8)).to_dict()
    assert not ran.err


def test_the_picture_is_that_of_the_paper(run):
    # Narayanan et al., SC21, figure 4: backward passes twice as long
    out = run("schedule", "1f1b", "--ranks", "3", "--microbatches", "4").out
    assert PICTURE in out
    assert "F forward, B backward" in out


def test_a_step_that_is_too_long_for_names_has_a_letter_per_column():
    step = pipeline_step("interleaved-1f1b", Pipeline(2, 4, 2))
    assert draw(step, 120)[0].startswith("rank 0  0F0 0F1 2F0 2F1 0F2 ....2B0---- ")
    assert draw(step, 60)[:2] == INTERLEAVED.splitlines()


def test_a_pair_is_drawn_as_one(run):
    out = run("schedule", "dualpipe", *SHAPE).out
    assert "F6+B0--- " in out
    assert "F1+B0 overlapped" in out


@pytest.mark.slow
@each("name", NAMES)
@each(("ranks", "microbatches"), [("4", "8"), ("16", "128")])
def test_no_line_is_wider_than_a_piped_terminal(run, name, ranks, microbatches):
    ran = run("schedule", name, "--ranks", ranks, "--microbatches", microbatches)
    lines = ran.out.splitlines()
    assert max(map(len, lines)) <= 110
    assert sum(line.startswith("rank ") for line in lines) == int(ranks) + 1


def test_of_a_long_step_start_and_end_are_shown(run):
    out = run("schedule", "dualpipe", "--ranks", "16", "--microbatches", "120").out
    rows = [line for line in out.splitlines() if line.startswith("rank ")][:16]
    assert all(row.count(" ... ") == 1 for row in rows)
    assert rows[0].startswith("rank  0  FFFFFFFFFFFFFFFfiwfiw")
    assert rows[15].endswith("iwiwiwiwiwiwiwiw")
    assert "374 s" in out


@each("name", NAMES)
@each("width", [80, 110, 1000])
def test_dots_are_the_bubble(name, width):
    step = pipeline_step(name, Pipeline(4, 8))
    rows = [line[8:] for line in draw(step, width)[:4]]
    for row, bubble_s in zip(rows, step.bubble_s, strict=True):
        assert " ... " not in row
        share = row.count(".") / max(map(len, rows))
        assert share == pytest.approx(bubble_s / step.step_s, abs=0.01)


@each("name", NAMES)
@each("second", [0.1, 0.3, 7e-6])
def test_the_picture_does_not_depend_on_the_unit_of_time(name, second):
    whole = draw(pipeline_step(name, Pipeline(4, 8)), 100)
    parts = durations(second, second, second)
    assert draw(pipeline_step(name, Pipeline(4, 8), parts), 100)[:4] == whole[:4]


@settings(max_examples=60)
@given(
    name=st.sampled_from(NAMES),
    seconds=st.tuples(*[st.floats(0, 5)] * 3).filter(lambda s: sum(s) > 0.01),
    width=st.integers(20, 200),
    send_s=st.sampled_from([0.0, 0.3]),
)
def test_any_durations_fit_any_width(name, seconds, width, send_s):
    step = pipeline_step(name, Pipeline(2, 8), durations(*seconds), send_s=send_s)
    lines = draw(step, width)
    assert max(map(len, lines)) <= max(width, 28)
    assert [line[:6] for line in lines[:2]] == ["rank 0", "rank 1"]


def test_a_step_without_time_is_drawn_without_columns(run):
    ran = run("schedule", "forward-only", *SHAPE, "--f", "0")
    assert ran.status == 0
    assert "\nrank 0\nrank 1\n" in ran.out
    assert "step 0 s" in ran.out


def test_of_many_ranks_the_first_and_last_are_shown(run):
    ran = run("schedule", "1f1b", "--ranks", "300", "--microbatches", "2")
    lines = ran.out.splitlines()
    assert sum(line.startswith("rank ") for line in lines) == MOST_ROWS + 1
    assert "..." in lines
    assert any(line.startswith("rank 299 ") for line in lines)


def test_each_rank_s_figures_are_printed(run):
    out = run("schedule", "zb-h1", *SHAPE, "--w", "0.5").out
    rows = [line.split() for line in out.splitlines() if line.startswith("   ")]
    step = pipeline_step("zb-h1", Pipeline(4, 8), durations(1, 1, 0.5))
    expected = zip(step.bubble_s, step.inner_bubble_s, (4, 3, 2, 1), strict=True)
    for rank, (bubble_s, inner_s, alive) in enumerate(expected):
        figures = [str(rank), f"{bubble_s:g}", f"{inner_s:g}", str(alive), str(rank)]
        assert figures in rows
    assert f"bubble {step.bubble_fraction:.1%}" in out


def test_a_closed_form_says_whether_it_holds(run):
    holds = run("schedule", "zb-h1", *SHAPE).out
    assert "bubble 3 s on every rank, holds here; simulated 3 s" in holds
    broken = run("schedule", "zb-h1", *SHAPE, "--w", "1.5").out
    assert "bubble 1.5 s on every rank, does not hold here; simulated 3 s" in broken
    assert "it holds for: W <= F, W <= I, n >= P" in broken
    sent = run("schedule", "1f1b", *SHAPE, "--send", "0.1").out
    assert "does not hold here" in sent
    assert "sends that take no time" in sent
    assert "closed form: none for v-min" in run("schedule", "v-min", *SHAPE).out


def test_durations_are_those_that_are_given(run):
    ran = run("schedule", "1f1b", *SHAPE, "--f", "2", "--b", "3", "--json")
    assert ran.json["step_s"] == (8 + 3) * 5
    pairs = run("schedule", "dualpipe", *SHAPE, "--fb", "2", "--json").json
    assert pairs["step_s"] < pipeline_step("dualpipe", Pipeline(4, 8)).step_s


def test_stages_per_rank_are_those_that_are_given(run):
    options = (*SHAPE, "--stages-per-rank", "4", "--json")
    made = run("schedule", "interleaved-1f1b", *options).json
    assert made["closed_form"]["bubble_s"] == 3 * 3 / 4


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_written_schedule_is_read_and_simulated_alike(run, tmp_path, name):
    path = tmp_path / "mine.csv"
    built_in = run("schedule", name, *SHAPE, "--json", "--csv", str(path))
    assert path.read_text() == format_program(program(name, Pipeline(4, 8)))
    assert str(path) in built_in.err
    read = run("schedule", str(path), "--json")
    changed = {"schedule": str(path), "closed_form": None}
    assert read.json == built_in.json | changed


def test_a_file_of_one_s_own_is_shown_with_its_own_shape(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.csv").write_text("0F0,,0F1,0B0,0B1\n1F0,1B0,1F1,1B1\n")
    ran = run("schedule", "mine.csv", "--ranks", "2")
    assert "mine.csv: 2 ranks, 2 micro-batches" in ran.out
    assert "rank 1  ...F0 B0--- F1 B1--- " in ran.out
    assert "closed form: none for mine.csv" in ran.out


def test_quiet_leaves_out_what_explains(run, tmp_path):
    path = tmp_path / "mine.csv"
    ran = run("schedule", "1f1b", *SHAPE, "--quiet", "--csv", str(path))
    assert not ran.err
    assert "F forward" not in ran.out
    assert "in flight:" not in ran.out
    assert "holds here" in ran.out


FAULTS = {
    "no backward": ("0F0,0F1,0B0\n", "0B1 is missing"),
    "twice": ("0F0,0F0,0B0\n", "0F0 runs again at rank 0, step 1"),
    "deadlock": ("0B0,0F0\n", "0B0 waits for 0F0"),
    "garbage": ("once,upon\n", "row 1, column 1: 'once'"),
    "empty": ("", "is empty"),
    "not text": (b"\xff\xfe\x00", "is not text in UTF-8"),
    "too long": ("0F0," * 5_000_001, "has 20.0 MB"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_file_gets_one_message(run, tmp_path, fault):
    content, said = FAULTS[fault]
    path = tmp_path / "mine.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    ran = run("schedule", str(path))
    assert (ran.status, ran.out) == (2, "")
    assert said in ran.err
    assert "mine.csv" in ran.err.splitlines()[0]


REFUSED = {
    "name": (("zb-h3", *SHAPE), "there is no schedule called 'zb-h3'"),
    "name without a shape": (("zb-h3",), "there is no schedule called 'zb-h3'"),
    "no shape": (("1f1b",), "--ranks 4 --microbatches 8"),
    "no ranks": (("1f1b", "--microbatches", "8"), "needs a shape"),
    "no file": (("./nothing.csv",), "there is no file ./nothing.csv"),
    "long name": (("x" * 5000 + ".csv",), "there is no file xxx"),
    "folder": (("./",), "is a folder"),
    "endless": (("/dev/zero",), "input files are at most"),
    "zero ranks": (("1f1b", "--ranks", "0", "--microbatches", "1"), "at least 1"),
    "too many": (
        ("1f1b", "--ranks", "1000000000", "--microbatches", "9"),
        "40,000 are the limit",
    ),
    "odd": (("dualpipe", "--ranks", "3", "--microbatches", "8"), "dualpipe"),
    "stages": (("zb-h1", *SHAPE, "--stages-per-rank", "2"), "stages_per_rank: 1"),
    "negative": (("1f1b", *SHAPE, "--f", "-1"), "not negative"),
    "nan": (("1f1b", *SHAPE, "--b", "nan"), "finite"),
    "infinite send": (("1f1b", *SHAPE, "--send", "inf"), "finite"),
    "all zero": (("1f1b", *SHAPE, "--f", "0", "--i", "0", "--w", "0"), "all zero"),
    "overflow": (("1f1b", *SHAPE, "--f", "1e307", "--b", "1e307"), "add up to more"),
    "csv in no folder": (("1f1b", *SHAPE, "--csv", "no/where.csv"), "no folder no"),
    "csv in a folder": (("1f1b", *SHAPE, "--csv", "."), ". is a folder"),
    "csv below a file": (("1f1b", *SHAPE, "--csv", "file/a.csv"), "no folder file"),
    "csv name": (("1f1b", *SHAPE, "--csv", "x" * 300), "cannot be written"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_input_gets_one_message(run, tmp_path, monkeypatch, case):
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    arguments, said = REFUSED[case]
    ran = run("schedule", *arguments)
    assert (ran.status, ran.out) == (2, "")
    assert said in ran.err
    assert "Traceback" not in ran.err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("option", "number"),
    [("--ranks", 3), ("--microbatches", 1), ("--stages-per-rank", 2)],
)
def test_a_shape_that_is_not_the_file_s_is_refused(run, tmp_path, option, number):
    path = tmp_path / "mine.csv"
    path.write_text("0F0,0F1,0B0,0B1\n1F0,1B0,1F1,1B1\n")
    ran = run("schedule", str(path), option, str(number))
    assert ran.status == 2
    assert f"{option} is {number}, but" in ran.err


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("before")

    def parts():
        yield "half"
        raise RuntimeError

    with pytest.raises(RuntimeError):
        files.write_text(path, parts())
    assert path.read_text() == "before"
    files.write_text(path, ["af", "ter"])
    assert path.read_text() == "after"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_is_written_through(tmp_path):
    (tmp_path / "far").mkdir()
    link, target = tmp_path / "link.csv", tmp_path / "far" / "real.csv"
    link.symlink_to(target)
    files.write_text(link, ["a"])
    assert link.is_symlink()
    assert target.read_text() == "a"


@pytest.mark.skipif(not Path(os.devnull).is_char_device(), reason="no devices here")
def test_a_device_stays_a_device():
    files.write_text(Path(os.devnull), ["a"])
    assert Path(os.devnull).is_char_device()


def test_a_file_without_permission_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(InputError, match="cannot be written"):
        files.check_target(tmp_path / "mine.csv")


def test_stages_of_a_rank_are_listed_in_few_words():
    step = pipeline_step("interleaved-1f1b", Pipeline(2, 2, 10))
    assert any(line.endswith("0, 2, 4, ... 18 (10)") for line in describe(step, 110))


def test_only_letters_that_occur_are_explained():
    for name in NAMES:
        step = pipeline_step(name, Pipeline(4, 8))
        words = " ".join(describe(step, 110))
        ops = {
            part.op for row in step.graph.program.ranks for s in row for part in s.parts
        }
        assert ("I backward to the input" in words) == (Op.I in ops)
        assert ("B backward," in words) == (Op.B in ops)


FORMATS = {"html": b"<", "png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}


@pytest.mark.slow
@pytest.mark.parametrize("ending", FORMATS)
def test_a_chart_is_a_file_of_its_kind(run, tmp_path, ending):
    path = tmp_path / f"chart.{ending}"
    ran = run("schedule", "zb-v", *SHAPE, "--send", "0.1", "--chart", str(path))
    assert ran.status == 0, ran.err
    assert f"wrote {path}" in ran.err
    assert path.read_bytes().startswith(FORMATS[ending])


@pytest.mark.slow
def test_schedules_under_each_other_say_what_each_idles(run, tmp_path):
    path = tmp_path / "both.svg"
    shape = ("--ranks", "16", "--microbatches", "120")
    ran = run("schedule", "1f1b", *shape, "--against", "zb-h1", "--chart", str(path))
    assert ran.status == 0, ran.err
    text = path.read_text()
    assert "1f1b idles 11% of a step, zb-h1 4%" in text
    assert "zb-h1: 16 ranks, 120 micro-batches, step 6.25 min" in text
    assert "steady" in text


@pytest.mark.slow
def test_the_other_schedule_has_as_many_stages_where_it_can(run, tmp_path):
    path = tmp_path / "both.svg"
    options = (*SHAPE, "--stages-per-rank", "2", "--chart", str(path))
    others = ("--against", "breadth-first", "--against", "zb-h1")
    assert run("schedule", "interleaved-1f1b", *options, *others).status == 0
    steps = [
        pipeline_step("interleaved-1f1b", Pipeline(4, 8, 2)),
        pipeline_step("breadth-first", Pipeline(4, 8, 2)),
        pipeline_step("zb-h1", Pipeline(4, 8)),
    ]
    for step in steps:
        assert f"{step.graph.program.schedule}: 4 ranks" in path.read_text()
        assert f"step {step.step_s:.4g} s" in path.read_text()


CHARTLESS = {
    "ending": (("--chart", "a.gif"), "does not end in .html or .png"),
    "folder": (("--chart", "no/a.png"), "there is no folder no"),
    "no chart": (("--against", "zb-h1"), "--against needs --chart"),
    "other name": (("--chart", "a.png", "--against", "zb-h3"), "'zb-h2'"),
    "other shape": (
        ("--ranks", "3", "--chart", "a.png", "--against", "dualpipe"),
        "dualpipe",
    ),
}


@pytest.mark.parametrize("case", CHARTLESS)
def test_a_chart_that_cannot_be_drawn_gets_one_message(
    run, tmp_path, monkeypatch, case
):
    monkeypatch.chdir(tmp_path)
    options, said = CHARTLESS[case]
    ran = run("schedule", "1f1b", *SHAPE, *options)
    assert (ran.status, ran.out) == (2, "")
    assert said in ran.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "module", "extra"),
    [("a.html", "plotly", "app"), ("a.pdf", "matplotlib", "export")],
)
def test_a_missing_extra_is_named(run, tmp_path, monkeypatch, name, module, extra):
    monkeypatch.setitem(sys.modules, module, None)
    ran = run("schedule", "1f1b", *SHAPE, "--chart", str(tmp_path / name))
    assert (ran.status, ran.out) == (2, "")
    assert f"needs {module}: install the extra '{extra}'" in ran.err
    assert len(ran.err.splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_long_timeline_is_cut_into_readable_windows(name):
    shape = Pipeline(16, 128)
    steps = [pipeline_step(name, shape), pipeline_step("1f1b", shape)]
    parts = windows(schedule_timeline(steps))
    assert len(parts) == 3
    assert parts[0][0] == 0
    assert parts[-1][1] == max(step.step_s for step in steps)
    assert all(before[1] <= after[0] for before, after in pairwise(parts))
    assert max(high - low for low, high in parts) <= MOST_UNITS
    if name != "forward-only":  # ends long before the other one
        assert parts[-1][0] < min(step.step_s for step in steps)


@pytest.mark.slow
def test_what_ends_before_a_window_says_when(run, tmp_path):
    path = tmp_path / "both.svg"
    options = ("--ranks", "16", "--microbatches", "120", "--chart", str(path))
    run("schedule", "1f1b", *options, "--against", "forward-only")
    assert "ended at 2.25 min" in path.read_text()


def test_every_chunk_and_send_has_its_box():
    step = pipeline_step("dualpipe", Pipeline(4, 8), send_s=0.1)
    (panel,) = schedule_timeline([step]).panels
    sends = panel.boxes["send"]
    chunks = sum(map(len, panel.boxes.values())) - len(sends)
    assert chunks == sum(map(len, step.graph.program.ranks))
    assert len(sends) == sum(part is None for part in step.graph.instructions)
    assert {box.shift for box in sends} == {-1, 1}


def test_without_time_there_is_an_empty_chart(run, tmp_path):
    path = tmp_path / "a.png"
    ran = run("schedule", "forward-only", *SHAPE, "--f", "0", "--chart", str(path))
    assert ran.status == 0, ran.err
