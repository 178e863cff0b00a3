"""A result as files: each opens again, holds the numbers, says where they come from."""

import csv
import io
import json
import re
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version

import openpyxl
import pandas as pd
import pytest
from markdown_it import MarkdownIt
from pyarrow import parquet

from estimator.catalog.loading import load_scenario
from estimator.explore.comparison import compare
from estimator.explore.frames import long
from estimator.explore.results import Result
from estimator.ground.words import short
from estimator.show.formats import base, latex, markdown
from estimator.show.formats.base import file_format

HOSTILE = '=HYPERLINK("http://x")|50 % of #1 & $x_1^{2} \\input{y} <script> ~ [a](b) é λ -- \'`'


@pytest.fixture(scope="module")
def result(deepseek, report):
    return Result(
        [deepseek], [report], "estimator run deepseek-v3", [{"achievable": 17.7}]
    )


@pytest.fixture(scope="module")
def compared():
    made = compare(["deepseek-v3", "deepseek-v3@h100"])
    return Result(
        made.scenarios, made.reports, "estimator compare ...", comparison=made
    )


@pytest.fixture(scope="module")
def hostile(deepseek, report):
    """What a scenario says whose author means harm."""
    row = replace(report.assumptions[0], name=HOSTILE, source=HOSTILE, status=HOSTILE)
    said = replace(row, value=HOSTILE, layer="scenario", unit="")
    phase = replace(report.phases[0], name=HOSTILE, source=HOSTILE)
    made = replace(
        report,
        scenario=HOSTILE,
        question=HOSTILE,
        gpu="+1",
        phases=(phase, *report.phases[1:]),
        assumptions=(row, said, *report.assumptions),
    )
    return Result([replace(deepseek, name=HOSTILE)], [made], HOSTILE)


@pytest.fixture(scope="module")
def files(result, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    paths = {ending: folder / f"result.{ending}" for ending in file_format}
    for path in paths.values():
        base.write(result, path)
    return paths


def rows_of(sheet):
    return list(sheet.iter_rows(values_only=True))


def numbers(frame):
    """Return a long table's numbers by table, item and quantity."""
    keys = frame[["table", "item", "quantity"]].fillna("").astype(str)
    return dict(
        zip(keys.itertuples(index=False, name=None), frame["value"], strict=True)
    )


def check(frame, report):
    """Compare a long table with the JSON of the same estimate."""
    plain = report.to_dict()
    wanted = {
        ("summary", "", "gpu_hours"): plain["gpu_hours"],
        ("summary", "", "step.step_s"): plain["step"]["step_s"],
        ("summary", "", "memory.peak_bytes"): plain["memory"]["peak_bytes"],
    }
    for phase in plain["phases"]:
        wanted["phases", phase["name"], "cost_usd"] = phase["cost_usd"]
    for cause, seconds in plain["step"]["parts"].items():
        wanted["step", cause, "mean_s"] = seconds
    for row in plain["step"]["ranks"]:
        for kind in ("forward_s", "overlapped_s", "bubble_s"):
            wanted["ranks", str(row["rank"]), kind] = row[kind]
    for rank, parts in enumerate(plain["memory"]["ranks"]):
        for part, size in parts.items():
            wanted["memory", str(rank), f"{part}_bytes"] = size
    for row in plain["assumptions"]:
        if not isinstance(row["value"], str):
            wanted["assumptions", row["name"], "value"] = row["value"]
    made = numbers(frame)
    assert {key: made[key] for key in wanted} == pytest.approx(wanted, rel=1e-14)
    costs = frame[frame["quantity"] == "cost_usd"].iloc[0]
    assert (costs["low"], costs["high"]) == pytest.approx(plain["range"]["cost_usd"])


def test_every_format_says_name_version_date_and_configuration(files, result):
    (source,) = result.sources
    today = datetime.now(UTC).date().isoformat()
    for ending in ("csv", "json", "md", "tex"):
        text = files[ending].read_text()
        for part in ("deepseek-v3", version("estimator"), today, source.configuration):
            assert part in text, ending


def test_a_csv_is_one_table_for_pandas(files, report):
    frame = pd.read_csv(files["csv"], comment="#")
    check(frame, report)
    assert frame["scenario"].unique().tolist() == ["deepseek-v3"]
    units = frame.set_index("quantity")["unit"]
    assert (units["gpu_hours"] == "GPU-hours").all()
    assert (units["bubble_s"] == "s").all()


def test_a_parquet_has_its_origin_in_the_metadata(files, result, report):
    frame = pd.read_parquet(files["parquet"])
    check(frame, report)
    (source,) = result.sources
    held = parquet.read_metadata(files["parquet"]).metadata
    assert held[b"configuration"].decode() == source.configuration
    assert held[b"version"].decode() == f"estimator {source.version}"
    assert frame.attrs["command"] == "estimator run deepseek-v3"
    assert report.not_counted.casefold() in frame.attrs["not counted"].casefold()


def test_a_json_file_is_what_the_command_prints(run, tmp_path):
    out = tmp_path / "r.json"
    ran = run("run", "deepseek-v3", "--layers", "--out", str(out), "--json")
    assert json.loads(out.read_text()) == ran.json
    (made,) = ran.json
    assert set(made["provenance"]) == {"name", "version", "date", "configuration"}
    assert list(made["layers"]) == ["specification", "achievable", "in-situ"]


@pytest.mark.slow
def test_a_spreadsheet_has_a_sheet_for_each_table(files, result, report):
    book = openpyxl.load_workbook(files["xlsx"])
    assert book.sheetnames == [
        "about", "summary", "phases", "step", "ranks", "memory", "assumptions", "layers",
    ]  # fmt: skip
    (source,) = result.sources
    about = dict(rows_of(book["about"]))
    assert about["configuration"] == source.configuration
    assert about["version"] == f"estimator {source.version}"
    assert str(source) in book.properties.description
    summary = {row[1]: row[2] for row in rows_of(book["summary"])}
    assert summary["gpu_hours"] == pytest.approx(report.gpu_hours, rel=1e-14)
    assert summary["step.mfu"] == pytest.approx(report.step.mfu, rel=1e-14)
    bubbles = [row[7] for row in rows_of(book["ranks"])]
    assert bubbles[0] == "bubble_s"
    assert bubbles[1:] == pytest.approx([row.bubble_s for row in report.step.ranks])
    heads, *rows = rows_of(book["assumptions"])
    sources = [row[heads.index("source")] for row in rows]
    assert sources == [row.source for row in report.assumptions]


def test_a_markdown_table_has_as_many_cells_in_each_row(files, report):
    text = files["md"].read_text()
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        rows = [re.split(r"(?<!\\)\|", row)[1:-1] for row in table.splitlines()]
        assert len({len(row) for row in rows}) == 1
    assert f"| GPU-hours | {short(report.gpu_hours)} |" in text
    assert (
        "| plan | pp 16, ep 64, dp 128, ZeRO 1, dualpipe, micro-batches of 1 |" in text
    )
    assert "14.8T tokens; 3,072 to 15,360 sequences of 4,096 tokens a step" in text
    assert "## Where the seconds of a step go. Computation takes" in text


@pytest.mark.parametrize("ending", ["md", "tex"])
def test_every_source_is_listed_once_and_cited(result, ending, report):
    text = file_format[ending].encode(result).decode()
    named = {row.source for row in report.assumptions if not isinstance(row.value, str)}
    named |= {phase.source for phase in report.phases if phase.source}
    if ending == "md":
        listed = re.findall(r"^(\d+)\. ", text, re.MULTILINE)
        cited = set(re.findall(r"\| \[(\d+)\]", text))
    else:
        items = re.findall(r"\\bibitem\{(.*?)\}", text)
        listed = [item for item in items if "-" in item]
        groups = re.findall(r"\\cite\{(.*?)\}", text)
        cited = {key for group in groups for key in group.split(",") if "-" in key}
        assert len(items) == len(listed) + 1
    assert len(listed) == len(named)
    assert set(listed) == cited


@pytest.mark.slow
@pytest.mark.parametrize("made", ["result", "compared", "hostile"])
def test_latex_is_whole(request, made, tmp_path):
    text = latex.encode(request.getfixturevalue(made)).decode()
    bare = re.sub(r"\\[\\{}%&#_$]", "", text)
    assert bare.count("{") == bare.count("}")
    body = text[text.index(r"\begin{document}") :]
    assert not re.search(r"(?<!\\)[%#$~^]", body.replace("~\\cite", "\\cite"))
    assert not re.search(r"(?<!\\)_", body)
    for table in re.findall(r"\\endlastfoot\n(.*?)\\end\{longtable\}", body, re.DOTALL):
        cells = [len(re.findall(r"(?<!\\)&", row)) for row in table.splitlines()]
        assert len(set(cells)) == 1
    if shutil.which("pdflatex") is None:
        return
    (tmp_path / "r.tex").write_text(text)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "r.tex"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout[-2000:]
    assert (tmp_path / "r.pdf").read_bytes().startswith(b"%PDF")


def test_words_stay_words_in_a_spreadsheet(hostile, tmp_path):
    path = tmp_path / "h.xlsx"
    base.write(hostile, path)
    book = openpyxl.load_workbook(path)
    cells = [cell for sheet in book for row in sheet for cell in row]
    assert not [cell for cell in cells if cell.data_type == "f" or cell.hyperlink]
    assert any(cell.value == HOSTILE for cell in cells)


def test_words_stay_words_in_a_csv(hostile):
    text = file_format["csv"].encode(hostile).decode()
    rows = list(csv.reader(line for line in io.StringIO(text) if line[0] != "#"))
    assert len({len(row) for row in rows}) == 1
    starts = {cell[0] for row in rows for cell in row if re.match(r"[=+@\-\t]", cell)}
    assert not starts
    assert f"'{HOSTILE}" in rows[1]
    frame = pd.read_csv(io.StringIO(text), comment="#")
    assert len(frame) == len(rows) - 1
    assert frame["text"][0] == "'+1"


def test_words_stay_words_in_markdown(hostile):
    page = (
        MarkdownIt("commonmark")
        .enable("table")
        .render(markdown.encode(hostile).decode())
    )
    for mark in ("<script", "<a ", "<em", "<strong"):
        assert mark not in page
    assert page.count("&lt;script&gt; ~ [a](b)") > 4
    assert "[U+" not in page


def test_the_long_table_of_several_scenarios_tells_them_apart(compared):
    frame = long(compared)
    assert frame["scenario"].unique().tolist() == ["deepseek-v3", "deepseek-v3@h100"]
    shares = frame[frame["table"] == "differences"]
    hours = shares[shares["quantity"] == "gpu_hours"]["value"].sum()
    first, other = (each.gpu_hours for each in compared.reports)
    assert hours == pytest.approx(other - first)


@pytest.mark.parametrize("ending", list(file_format))
def test_a_comparison_is_written_in_every_format(compared, ending, tmp_path):
    path = tmp_path / f"c.{ending}"
    base.write(compared, path)
    content = path.read_bytes()
    assert len(content) > 1000
    if ending in ("md", "tex"):
        assert b"Why they differ from deepseek-v3 (Shapley values)" in content
        assert b"hgx-h800 -" in content


def test_a_comparison_s_shared_constants_stand_there_once(compared):
    text = markdown.encode(compared).decode()
    assert text.count("| gemm.fp8 | all |") == 1
    assert "| node.nvlink_bytes_per_s | deepseek-v3 |" in text
    assert "| node.nvlink_bytes_per_s | deepseek-v3@h100 |" in text


def test_the_same_result_is_the_same_file(result, files):
    for ending, path in files.items():
        assert file_format[ending].encode(result) == path.read_bytes(), ending


def test_what_does_not_fit_is_said_before_the_numbers(deepseek, report):
    memory = replace(report.memory, fits=False, advice="tp: 2 would fit")
    crowded = replace(report, memory=memory)
    text = markdown.encode(Result([deepseek], [crowded])).decode()
    assert text.index("It does not fit") < text.index("GPU-hours")


def test_the_command_writes_and_says_so(run, tmp_path):
    out = tmp_path / "c.md"
    ran = run(
        "compare", "deepseek-v3", "--vary", "price.usd_per_gpu_hour=2,3", "--out", str(out)
    )  # fmt: skip
    assert (ran.status, ran.out, ran.err) == (0, "", f"wrote {out}\n")
    words = "`estimator compare deepseek-v3 --vary price.usd_per_gpu_hour=2,3`"
    assert words in out.read_text()


REFUSED = {
    "r.html": ("is a report", "try estimator report NAME --out r.html"),
    "r.xls": ("does not end in .csv or .json", "try r.xlsx"),
    "no/r.csv": ("there is no folder no", ""),
    "folder.csv": ("is a folder", ""),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_cannot_be_written_gets_one_message(
    run, tmp_path, monkeypatch, name
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.csv").mkdir()
    for command in (["run", "nothing"], ["compare", "nothing", "else"]):
        ran = run(*command, "--out", name)
        assert (ran.status, ran.out) == (2, "")
        assert all(part in ran.err for part in REFUSED[name])
    assert [path.name for path in tmp_path.iterdir()] == ["folder.csv"]


@pytest.mark.parametrize(
    ("ending", "library"), [("xlsx", "xlsxwriter"), ("parquet", "pyarrow")]
)
def test_a_missing_library_is_named_before_the_work(run, monkeypatch, ending, library):
    monkeypatch.setattr("estimator.ground.extras.find_spec", lambda name: None)
    ran = run("run", "nothing", "--out", f"r.{ending}")
    assert ran.status == 2
    assert f"needs {library}: install the extra 'export'" in ran.err
    assert ran.err.endswith("(pip install 'estimator[export]')\n")
    assert ran.err.count("\n") == 1


def test_text_formats_need_no_extra(monkeypatch):
    monkeypatch.setattr("estimator.ground.extras.find_spec", lambda name: None)
    for ending in ("csv", "json", "md", "tex"):
        file_format[ending].require()


def test_latex_prints_what_its_fonts_lack_by_number():
    assert latex.words("λ é") == "[U+03BB] é"


def test_a_patched_scenario_has_another_configuration(run, tmp_path, deepseek):
    out = tmp_path / "r.json"
    patch = "price.usd_per_gpu_hour=3"
    run("run", "deepseek-v3", "--set", patch, "--out", str(out))
    held = json.loads(out.read_text())[0]["provenance"]["configuration"]
    for patches, is_same in (((), False), ((patch,), True)):
        scenario = load_scenario("deepseek-v3", patches)
        (source,) = Result([scenario], []).sources
        assert (source.configuration == held) is is_same
