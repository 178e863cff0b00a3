"""What-if: every cell is an estimate, and a cell that does not work says why."""

import shlex

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from loops import each
from matplotlib import image
from streamlit.testing.v1 import AppTest

from estimator.answer.api import estimate
from estimator.catalog.kinds import names
from estimator.catalog.loading import load_scenario
from estimator.faces.pages.inputs import INPUTS, Number
from estimator.ground.units import DAY_S
from estimator.show.charts import heat, plot
from estimator.show.charts.palette import LADDER
from estimator.show.figures import write
from estimator.show.findings.what_if import MEASURES, Answers, Input, lines, what_if


def opened(scenario="deepseek-v3", overrides=()):
    def script(scenario, overrides):
        from estimator.faces.pages import what_if
        from estimator.faces.pages.question import Question

        what_if.page(Question(scenario, tuple(overrides)))

    kwargs = {"scenario": scenario, "overrides": overrides}
    app = AppTest.from_function(script, default_timeout=60, kwargs=kwargs)
    app.session_state["has_painted"] = True
    return checked(app)


def checked(app):
    app.run()
    assert not app.exception
    return app


def said(element):
    return str(element.value).replace("\\", "")


def charts(app):
    return [chart.proto.id.rsplit("-", 1)[-1] for chart in app.get("plotly_chart")]


@pytest.fixture(scope="module")
def app():
    return opened()


@pytest.fixture
def answers():
    """Two networks across, three numbers of GPUs up; one cell does not work."""
    columns = {
        name: np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]) * measure.one
        for name, measure in MEASURES.items()
    }
    columns["fits"] = np.array([[True, True], [True, True], [False, True]])
    columns["reason"] = np.where(columns["fits"], "", "needs 90 GB of 80 GB")
    x = Input("Network, GB/s", (25.0, 50.0), "{} GB/s")
    y = Input("GPUs", (1024.0, 2048.0, 4096.0), "{} GPUs")
    return Answers(x, y, columns)


def test_a_map_says_where_it_is_least_and_most(answers):
    made = what_if(answers, "cost_usd", 3.5)
    assert made.finding == (
        "Cost: least 1 million USD with 25 GB/s and 1,024 GPUs; most 6 million USD "
        "with 50 GB/s and 4,096 GPUs; 1 of 6 do not work"
    )
    assert what_if(answers, "mfu").finding.startswith("MFU: most 6 % with 50 GB/s")


def test_what_does_not_work_has_no_number_but_a_reason(answers):
    made = what_if(answers, "wall_s")
    assert made.gaps == [(0, 2)]
    assert made.cells[2][0] is None
    assert made.reasons[2][0] == "needs 90 GB of 80 GB"
    figure = heat.drawn(made)
    (crosses,) = [trace for trace in figure.data if trace.type == "scatter"]
    assert (crosses.x, crosses.y) == ((0,), (2,))
    assert "needs 90 GB of 80 GB" in crosses.text[0]


def test_a_limit_is_drawn_where_it_is_crossed(answers):
    drawn = heat.drawn(what_if(answers, "cost_usd", 3.5))
    line = [trace for trace in drawn.data if trace.type == "contour"][-1]
    assert (line.contours.start, line.name) == (3.5, "budget: 3.5 million USD")
    nowhere = heat.drawn(what_if(answers, "cost_usd", 99.0))
    assert all(trace.type != "contour" for trace in nowhere.data)


def test_nothing_that_works_is_said(answers):
    answers.columns["fits"][:] = False
    made = what_if(answers, "cost_usd", 3.5)
    assert made.finding == "None of 6 combinations works"
    assert len(heat.drawn(made).data) == 2
    assert lines(answers, "cost_usd").curves == ()


def test_lines_leave_out_what_does_not_work(answers):
    made = lines(answers, "cost_usd", 3.5)
    assert [curve.y for curve in made.curves] == [(1.0, 2.0), (3.0, 4.0), (6.0,)]
    assert made.finding == (
        "2,048 against 1,024, cost: +200.0% with 25 GB/s, +100.0% with 50 GB/s"
    )
    (limit,) = made.guides
    assert (limit.is_limit, limit.y) == (True, (3.5, 3.5))
    assert len(plot.drawn(made).data) == 4


def test_few_lines_keep_both_ends(answers):
    few = answers.few(2)
    assert few.y.steps == (1024.0, 4096.0)
    assert few.columns["cost_usd"].shape == (2, 2)


def test_colours_grow_lighter_with_the_number():
    ladder = mpl.colormaps[LADDER](np.linspace(0, 1, 20))[:, :3]
    grey = ladder @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(grey) > 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_print_draws_maps_and_lines(answers, tmp_path, ending):
    for name, made in (
        ("map", what_if(answers, "cost_usd", 3.5)),
        ("lines", lines(answers, "cost_usd", 3.5)),
    ):
        path = tmp_path / f"{name}.{ending}"
        write.write(made, "a footer", path)
        if ending == "png":
            pixels = image.imread(path)
            assert len(np.unique(pixels.reshape(-1, 4), axis=0)) > 50
        elif ending == "svg":
            text = path.read_text()
            assert "million USD" in text
            assert "Network, GB/s" in text


@pytest.mark.slow
@each("scenario", names("scenario"))
@each("each", INPUTS)
def test_every_input_starts_with_what_the_scenario_has(scenario, each):
    loaded = load_scenario(scenario)
    if isinstance(each, Number):
        low, high = each.ends(loaded)
        values = each.values((low, high), each.count, loaded)
        assert len(values) > 2
        assert values[0] == low
        assert values == tuple(sorted(set(values)))
    else:
        assert each.start(loaded)[0] == each.own(loaded)


@pytest.mark.slow
@pytest.mark.parametrize("row", [0, 20, -1])
def test_a_cell_is_the_estimate(app, row):
    (frame,) = (table.value for table in app.dataframe)
    cell = frame.iloc[row]
    network, gpus = cell.iloc[0], cell.iloc[1]
    made = estimate(
        load_scenario(
            "deepseek-v3",
            [
                f"cluster.fabric.bytes_per_s={network}GB/s",
                f"cluster.num_gpus={gpus:.0f}",
            ],
        ),
        has_range=False,
    )
    assert cell["cost, million USD"] == pytest.approx(made.cost_usd / 1e6, rel=1e-9)
    assert cell["wall time, days"] == pytest.approx(made.wall_s / DAY_S, rel=1e-9)
    assert cell["MFU, %"] == pytest.approx(made.step.mfu * 100, rel=1e-9)


def test_the_page_has_a_map_and_h100_against_h800(app):
    assert charts(app) == ["map", "nodes"]
    assert any("hgx-h100 against hgx-h800" in said(text) for text in app.markdown)


def test_the_page_says_whose_price_it_is(app):
    assert any("$2 per GPU-hour" in said(note) for note in app.caption)


def test_a_node_keeps_its_own_nvlink_when_nvlink_is_varied():
    app = opened()
    app.selectbox(key="across").set_value("NVLink, GB/s one way per GPU")
    app.selectbox(key="up").set_value("Node")
    frame = checked(app).dataframe[0].value
    assert set(frame["Node"]) == {"hgx-h800", "hgx-h100"}
    assert not app.error
    assert frame["wall time, days"].iloc[0] > frame["wall time, days"].iloc[-1]


@pytest.mark.slow
def test_why_cells_are_empty_stands_below():
    app = opened()
    app.selectbox(key="up").set_value("Memory, GB per GPU")
    reasons = " ".join(str(table.value) for table in checked(app).table)
    assert "needs" in reasons
    app.selectbox(key="across").set_value("Micro-batch, sequences")
    assert "do not work" in " ".join(map(said, checked(app).markdown))


@pytest.mark.slow
def test_its_command_sweeps_the_same_numbers(app, run, tmp_path):
    words = shlex.split(app.code[0].value)
    out = tmp_path / "rows.csv"
    assert run(*words[1:-1], str(out)).status == 0
    swept = pd.read_csv(out)["cost_usd"].to_numpy()
    shown = app.dataframe[0].value["cost, million USD"].to_numpy() * 1e6
    assert sorted(swept) == pytest.approx(sorted(shown))


def test_a_wrong_question_is_one_message(open_page):
    app = open_page("what-if", gpus="2000")
    (error,) = app.error
    assert "try num_gpus: 2048" in said(error)
    assert any("Below is the last answer" in said(each) for each in app.caption)


@pytest.mark.slow
def test_a_link_holds_inputs_and_their_ends(open_page):
    app = open_page(
        "what-if", show="MFU", across="GPUs", across_from="2048", across_to="4096",
        up="Precision", up_names=["bf16", "fp8"], **{"as": "Lines"},
    )  # fmt: skip
    assert not app.warning
    assert charts(app)[0] == "lines"
    frame = app.dataframe[0].value
    assert set(frame["Precision"]) == {"bf16", "fp8"}
    assert frame["GPUs"].max() == 4096


@pytest.mark.slow
def test_another_scenario_starts_with_its_own_values(open_page):
    app = open_page("what-if")
    assert app.number_input(key="up_from").value == 1024
    app.selectbox(key="scenario").set_value("llama-3.1-405b")
    assert checked(app).number_input(key="up_from").value == 8192
    app.selectbox(key="across").set_value("GPUs")
    assert checked(app).selectbox(key="up").value != "GPUs"
    assert app.number_input(key="across_from").value == 8192
