"""What the dashboard offers to download opens, and holds the numbers on the page."""

import gzip
import io
import json
from dataclasses import replace
from xml.etree import ElementTree as ET

import openpyxl
import pandas as pd
import pytest
from matplotlib import image
from streamlit.testing.v1 import AppTest

from estimator.answer import provenance
from estimator.catalog import kinds
from estimator.catalog.loading import load_scenario
from estimator.explore.comparison import compare
from estimator.explore.results import Result
from estimator.faces.pages import downloads
from estimator.faces.pages.question import Question
from estimator.ground.extras import how
from estimator.ground.words import short
from estimator.show.findings.base import finding
from estimator.show.pictures import FORMATS


@pytest.fixture(scope="module")
def groups(deepseek):
    return downloads.groups(deepseek, "estimator run deepseek-v3")


@pytest.fixture(scope="module")
def made(groups):
    """Every file but the figures, by its ending."""
    files = [file for group in groups[:3] for file in group.files]
    return {file.ending: file.make() for file in files}


@pytest.mark.slow
def test_every_kind_of_file_is_offered(groups):
    assert not [group.problems for group in groups if group.problems]
    names = [file.name for group in groups for file in group.files]
    tables = ["csv", "json", "md", "parquet", "tex", "xlsx"]
    assert names == [
        *(f"deepseek-v3.{ending}" for ending in [*tables, "html", "json.gz"]),
        *(f"deepseek-v3-{name}.{ending}" for name in finding for ending in FORMATS),
    ]


@pytest.mark.slow
def test_tables_hold_the_numbers_of_the_report(made, report):
    hours = pytest.approx(report.gpu_hours, rel=1e-14)
    assert json.loads(made["json"])[0]["gpu_hours"] == hours
    for frame in (
        pd.read_csv(io.BytesIO(made["csv"]), comment="#"),
        pd.read_parquet(io.BytesIO(made["parquet"])),
    ):
        assert frame.set_index("quantity")["value"]["gpu_hours"].iloc[0] == hours
    book = openpyxl.load_workbook(io.BytesIO(made["xlsx"]))
    rows = book["summary"].iter_rows(values_only=True)
    assert {row[1]: row[2] for row in rows}["gpu_hours"] == hours
    assert f"| GPU-hours | {short(report.gpu_hours)} |".encode() in made["md"]
    assert rb"\begin{longtable}" in made["tex"]


@pytest.mark.slow
def test_the_report_is_a_page(made, deepseek):
    page = made["html"].decode()
    assert page.startswith("<!doctype html>")
    assert str(provenance.of_scenario(deepseek)) in page


@pytest.mark.slow
def test_the_trace_says_where_it_comes_from(made, deepseek, report):
    trace = json.loads(gzip.decompress(made["json.gz"]))
    said = trace["otherData"]
    assert said["step_s"] == pytest.approx(report.step.step_s)
    source = provenance.of_scenario(deepseek)
    assert said["provenance"]["configuration"] == source.configuration
    assert len(trace["traceEvents"]) > 10_000


@pytest.mark.slow
def test_each_figure_opens(groups):
    group = next(group for group in groups if group.files[0].name.endswith("ranks.png"))
    png, svg, pdf = (file.make() for file in group.files)
    assert min(image.imread(io.BytesIO(png)).shape[:2]) > 300
    words = " ".join(ET.fromstring(svg).itertext())  # noqa: S314 - our own file
    assert "seconds of a step" in words
    assert "configuration" in words
    assert pdf.count(b"/Type /Page ") == 1


def test_names_of_files_are_plain(deepseek):
    named = replace(deepseek, name="../../etc/pass wd\n<b>")
    for group in downloads.groups(named, ""):
        for file in group.files:
            assert file.name.startswith("etc-pass-wd-b")


def test_what_is_not_installed_is_named(deepseek, monkeypatch):
    monkeypatch.setattr("estimator.ground.extras.find_spec", lambda name: None)
    tables, page, trace, figures = downloads.groups(deepseek, "")
    assert [file.ending for file in tables.files] == ["csv", "json", "md", "tex"]
    assert tables.problems == (
        f"a Parquet file needs pyarrow: {how('export')}",
        f"a spreadsheet needs xlsxwriter: {how('export')}",
    )
    assert (page.files, figures.files) == ((), ())
    problem = f"a figure in PNG, SVG or PDF needs matplotlib: {how('export')}"
    assert page.problems == figures.problems == (problem,)
    assert trace.files


def test_a_step_too_long_for_a_trace_says_so():
    patch = "phases.0.global_batch_size=1966080"
    scenario = load_scenario("deepseek-v3", [patch])
    trace = downloads.groups(scenario, "")[2]
    assert not trace.files
    assert "a trace shows at most" in trace.problems[0]


@pytest.mark.slow
def test_the_page_has_a_button_for_each_file(groups):
    app = AppTest.from_file(kinds.data_folder() / "app.py", default_timeout=60)
    app.session_state["has_painted"] = True
    app.query_params["view"] = "Export"
    app.run()
    assert not app.exception
    labels = [button.proto.label for button in app.get("download_button")]
    assert labels[:9] == [
        "YAML", "CSV", "JSON", "Markdown", "Parquet", "LaTeX", "XLSX", "HTML",
        "Perfetto",
    ]  # fmt: skip
    assert labels[9:12] == ["PNG", "SVG", "PDF"]
    assert "estimator report deepseek-v3 --out" in app.code[0].value
    assert "estimator trace deepseek-v3 --out" in app.code[0].value


def test_the_scenario_file_gives_the_same_scenario(tmp_path):
    patch = "cluster.num_gpus=4096"
    (file,) = downloads.of_scenario(Question("deepseek-v3", (patch,))).files
    path = tmp_path / file.name
    path.write_bytes(file.make())
    assert load_scenario(str(path)) == load_scenario("deepseek-v3", [patch])


def test_a_patch_with_braces_stands_in_the_commands():
    def script():
        from estimator.faces.pages import downloads
        from estimator.faces.pages.question import Question

        patch = "recompute={bad"  # no scenario is made of it here
        downloads.commands(Question("deepseek-v3", (patch,)))

    app = AppTest.from_function(script).run()
    assert not app.exception
    assert app.code[0].value.count("{bad") == 3


@pytest.mark.slow
def test_a_comparison_is_offered_in_every_format():
    made = compare(["deepseek-v3", "deepseek-v3@h100"])
    result = Result(made.scenarios, made.reports, comparison=made)
    files = downloads.of_tables(lambda: result, result.title).files
    assert [file.name for file in files] == [
        f"deepseek-v3-and-deepseek-v3@h100.{ending}"
        for ending in ("csv", "json", "md", "parquet", "tex", "xlsx")
    ]
    shares = json.loads(files[1].make())["attribution"]
    assert shares == [vars(share) for share in made.shares]
