"""Static figures and the report: files that open, say what they found, ask no network."""

import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from importlib.metadata import version
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from matplotlib import image

from estimator.answer import provenance
from estimator.catalog.loading import load_scenario
from estimator.ground.errors import InfeasibleError
from estimator.show import pictures, report_html
from estimator.show.figures import write
from estimator.show.findings.base import finding
from estimator.show.findings.timeline import windows

NAMES = list(finding)


@pytest.fixture(scope="module")
def answer(deepseek, report):
    made = pictures.Estimate(deepseek)
    made.__dict__["report"] = report  # what cached_property would keep
    return made


@pytest.fixture(scope="module")
def made(deepseek):
    return provenance.of_scenario(deepseek)


@pytest.fixture(scope="module")
def folder(answer, made, tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures")
    write.write_all(answer, str(made), folder, pictures.FORMATS)
    return folder


@pytest.fixture(scope="module")
def page(answer):
    return "".join(report_html.page(answer, answer.result("estimator run deepseek-v3")))


def words_of(path):
    tree = ET.parse(path)  # noqa: S314 - our own file
    return [text.strip() for text in tree.getroot().itertext() if text.strip()]


def test_every_chart_has_a_finding_and_a_summary(run):
    listed = run("list", "chart", "--json").json
    assert [row["name"] for row in listed] == NAMES
    assert all(row["summary"].startswith("Show ") for row in listed)
    assert "timeline" in run("list", "chart").out
    assert "chunks as boxes" in run("show", "chart", "timeline").out
    wrong = run("show", "chart", "timelime")
    assert (wrong.status, "'timeline'" in wrong.err) == (2, True)


def test_every_finding_is_also_drawn_for_the_browser():
    from estimator.show.charts.base import chart

    assert list(chart) == NAMES


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_png_has_pixels_of_several_colours(folder, name):
    pixels = image.imread(folder / f"{name}.png")
    assert min(pixels.shape[:2]) > 300
    colours = np.unique(pixels.reshape(-1, pixels.shape[2]), axis=0)
    assert len(colours) > 50


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_an_svg_says_what_was_found_and_where_it_comes_from(folder, name, answer, made):
    words = words_of(folder / f"{name}.svg")
    text = " ".join(words)
    assert finding[name](answer).finding in text
    assert str(made) in words
    assert any(unit in text for unit in ("seconds", "GB", "%"))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_pdf_is_one_page(folder, name):
    content = (folder / f"{name}.pdf").read_bytes()
    assert content.startswith(b"%PDF")
    assert content.count(b"/Type /Page ") == 1


@pytest.mark.slow
def test_a_footer_has_name_version_date_and_configuration(made):
    today = datetime.now(UTC).date().isoformat()
    for part in ("deepseek-v3", version("estimator"), today, made.configuration):
        assert part in str(made)


@pytest.mark.slow
def test_a_configuration_is_known_by_its_numbers_alone(deepseek, made):
    def configuration(scenario):
        return provenance.of_scenario(scenario).configuration

    assert re.fullmatch("[0-9a-f]{12}", made.configuration)
    assert configuration(replace(deepseek, name="b", question="")) == made.configuration
    other = load_scenario("deepseek-v3", ["price.usd_per_gpu_hour=3"])
    assert configuration(other) != made.configuration


@pytest.mark.slow
def test_the_same_figure_is_the_same_file(answer, folder, made, tmp_path):
    shown = finding["ranks"](answer)
    for ending in pictures.FORMATS:
        write.write(shown, str(made), tmp_path / f"ranks.{ending}")
        again = (tmp_path / f"ranks.{ending}").read_bytes()
        assert again == (folder / f"ranks.{ending}").read_bytes()


@pytest.mark.slow
def test_any_name_is_drawn_as_it_is(deepseek, answer, tmp_path):
    shown, name = finding["layers"](answer), "$x^{$ <b>&\\frac " + "y" * 100
    footer = str(provenance.of_scenario(replace(deepseek, name=name)))
    for ending in pictures.FORMATS:
        write.write(replace(shown, finding=name), footer, tmp_path / f"a.{ending}")
    text = " ".join(words_of(tmp_path / "a.svg"))
    assert "$x^{$ <b>&\\frac" in text
    assert "y..." in text


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.names, self.ids, self.links = [], [], []

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        known = dict(attrs)
        self.ids += [known["id"]] if "id" in known else []
        keys = ("src", "href", "xlink:href", "action", "data")
        self.links += [known[key] for key in keys if key in known]


@pytest.mark.slow
def test_the_report_asks_no_network_and_runs_no_script(page):
    tags = Tags()
    tags.feed(page)
    assert not {"script", "link", "iframe", "img"} & set(tags.names)
    assert all(link.startswith("#") for link in tags.links)
    assert {link[1:] for link in tags.links} <= set(tags.ids)
    assert len(tags.ids) == len(set(tags.ids))
    assert not re.search(r"url\((?!#)|@import", page)
    assert len(page) < 1_000_000


@pytest.mark.slow
def test_the_report_has_every_part(page, answer, made):
    tags = Tags()
    tags.feed(page)
    assert tags.names.count("svg") == len(NAMES)
    for name in NAMES:
        assert finding[name](answer).finding.replace("'", "&#x27;") in page
    for part in ("Phases", "gradient synchronisation", "in flight", "What it rests on"):
        assert part in page
    for row in answer.report.assumptions[:5]:
        assert row.source.split("&")[0] in page
    assert answer.report.not_counted[1:] in page
    assert answer.report.range_method[1:-1].replace("'", "&#x27;") in page
    assert str(made) in page
    assert "estimator run deepseek-v3" in page


@pytest.mark.slow
def test_names_in_a_report_are_words_not_markup(answer):
    bad = "<script>alert(1)</script>"
    row = replace(answer.report.assumptions[0], source=bad, status="assumed")
    hostile = pictures.Estimate(replace(answer.scenario, name=bad))
    hostile.__dict__.update(
        trace=answer.trace,
        layers=answer.layers,
        report=replace(
            answer.report,
            scenario=bad,
            question=bad,
            assumptions=(row,) * 2 + answer.report.assumptions,
        ),
    )
    page = "".join(report_html.page(hostile, hostile.result(bad)))
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 6


@pytest.mark.slow
def test_what_does_not_fit_is_said_first(answer):
    memory = replace(answer.report.memory, fits=False, advice="tp: 2 would fit")
    crowded = pictures.Estimate(answer.scenario)
    crowded.__dict__.update(
        report=replace(answer.report, memory=memory),
        trace=answer.trace,
        layers=answer.layers,
    )
    page = "".join(report_html.page(crowded, crowded.result("")))
    assert page.index("It does not fit") < page.index("GPU-hours")


@pytest.mark.slow
def test_a_step_that_cannot_be_played_leaves_its_figure_out(
    answer, tmp_path, monkeypatch
):
    def refuse(_):
        raise InfeasibleError("too many chunks")

    monkeypatch.setitem(finding._entries, "timeline", refuse)
    page = "".join(report_html.page(answer, answer.result("")))
    assert "Not drawn: too many chunks" in page
    written = write.write_all(answer, "", tmp_path, ["svg"])
    assert [path.stem for path in written] == [n for n in NAMES if n != "timeline"]


@pytest.mark.slow
def test_the_command_writes_the_report_and_the_figures(run, tmp_path):
    out, folder = tmp_path / "r.html", tmp_path / "figures"
    ran = run(
        "report", "deepseek-v3", "--set", "price.usd_per_gpu_hour=3", "--out", str(out),
        "--charts", str(folder), "--format", "svg",
    )  # fmt: skip
    assert (ran.status, ran.out) == (0, "")
    assert f"wrote {out}" in ran.err
    assert "--set price.usd_per_gpu_hour=3" in out.read_text()
    assert sorted(path.name for path in folder.iterdir()) == [f"{n}.svg" for n in NAMES]


REFUSED = {
    "nothing": ((), "nothing to write"),
    "ending": (("--out", "r.pdf"), "does not end in .html"),
    "folder": (("--out", "no/r.html"), "there is no folder no"),
    "charts below nothing": (("--charts", "no/figures"), "there is no folder no"),
    "charts in a file": (("--charts", "file"), "is a file, not a folder"),
    "format": (("--charts", ".", "--format", "png,gif"), "called 'gif'"),
    "override": (("--out", "r.html", "--set", "plan.pp=0"), "plan.pp"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_report_that_cannot_be_written_gets_one_message(
    run, tmp_path, monkeypatch, case
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    options, said = REFUSED[case]
    ran = run("report", "deepseek-v3", *options)
    assert (ran.status, ran.out) == (2, "")
    assert said in ran.err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_report_without_matplotlib_names_the_extra(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    ran = run("report", "deepseek-v3", "--out", str(tmp_path / "r.html"))
    assert ran.status == 2
    assert "needs matplotlib: install the extra 'export'" in ran.err


@pytest.mark.slow
def test_lists_and_estimates_load_no_drawing_library():
    script = (
        "import sys; sys.modules.update(matplotlib=None, plotly=None)\n"
        "sys.argv = ['estimator', *{words}]\n"
        "from estimator.faces.cli.main import main; main()"
    )
    for words in (["list", "chart"], ["run", "deepseek-v3", "--quiet"]):
        command = [sys.executable, "-c", script.format(words=words)]
        ran = subprocess.run(command, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gpt3-175b", "llama-3.1-405b"])
def test_a_cool_down_shows_chunks_and_the_optimizer(name):
    shown = finding["timeline"](pictures.Estimate(load_scenario(name)))
    (panel,), (low_s, high_s) = shown.panels, windows(shown)[-1]
    for kind in ("backward", "optimizer"):
        assert any(
            low_s < box.end_s and box.start_s < high_s for box in panel.boxes[kind]
        )
