"""Why one scenario costs more: bars that add up, on a page and in a file."""

import pytest
from streamlit.testing.v1 import AppTest

from estimator.explore import comparison
from estimator.explore.comparison import Share
from estimator.ground.words import dollars, short, signed
from estimator.show.charts import difference as chart
from estimator.show.findings.difference import QUANTITIES, WHOLE, difference

PAIR = ("deepseek-v3@1f1b+bf16+h100", "deepseek-v3")


def opened(scenario="deepseek-v3", overrides=(), baseline=None, variants=None):
    def script(scenario, overrides):
        from estimator.faces.pages import compare
        from estimator.faces.pages.question import Question

        compare.page(Question(scenario, tuple(overrides)))

    kwargs = {"scenario": scenario, "overrides": overrides}
    app = AppTest.from_function(script, default_timeout=60, kwargs=kwargs)
    app.session_state["has_painted"] = True
    if baseline:
        app.query_params["baseline"] = baseline
    if variants is not None:
        app.query_params["with"] = variants
    app.run()
    assert not app.exception
    return app


def said(element):
    return str(element.value).replace("\\", "").replace("\N{ZERO WIDTH SPACE}", "")


def sizes(made):
    """Return name -> size of each bar, whatever its colour."""
    return {
        name: sum(series.values[index] for series in made.series)
        for index, name in enumerate(made.names)
    }


@pytest.fixture(scope="module")
def made():
    return comparison.compare(PAIR)


@pytest.mark.slow
@pytest.mark.parametrize("quantity", QUANTITIES)
def test_bars_are_the_attribution_and_add_up(quantity, made, run):
    told = run("compare", *PAIR, "--json").json
    shares = {row["input"]: row[quantity] for row in told["attribution"]}
    drawn = sizes(difference(*made.reports, made.shares, quantity))
    whole = drawn.pop(WHOLE)
    assert drawn == pytest.approx(shares, rel=1e-9)
    first, second = (row[quantity] for row in told["scenarios"])
    assert whole == pytest.approx(second - first, rel=1e-9)
    assert sum(drawn.values()) == pytest.approx(whole, rel=1e-9)


def test_each_bar_begins_where_the_one_above_ends(made):
    shown = difference(*made.reports, made.shares)
    bars = [
        (series.starts[index], series.values[index])
        for index in reversed(range(len(shown.names)))
        for series in shown.series
        if series.labels[index]
    ]
    end = 0.0
    for start, size in bars[:-1]:
        assert start == pytest.approx(end)
        end = start + size
    assert bars[-1] == pytest.approx((0.0, end))


def test_the_title_names_the_largest_cause(made):
    title = difference(*made.reports, made.shares).finding
    less = made.reports[0].cost_usd - made.reports[1].cost_usd
    assert title.startswith(f"deepseek-v3 costs ${short(less)} less than")
    assert title.endswith("most of it because of plan.schedule: 1f1b -> dualpipe")
    hours = difference(*made.reports, made.shares, "gpu_hours").finding
    assert "GPU-hours less than" in hours


def test_the_title_leaves_the_cause_out_where_there_is_but_one(made):
    before, after = made.reports
    alone = Share("b", "x: 1 -> 2", 1.0, after.cost_usd - before.cost_usd)
    assert "because" not in difference(before, after, [alone]).finding
    assert "as much as" in difference(before, before, []).finding


def test_inputs_that_only_work_together_are_one_bar(made):
    before, after = made.reports
    share = Share("b", "x: 1 -> 2; y: 1 -> 2", 1.0, 1.0)
    shown = difference(before, after, [share])
    assert shown.names == (WHOLE, "2 inputs that only work together")


def test_the_browser_draws_every_bar(made):
    shown = difference(*made.reports, made.shares)
    figure = chart.drawn(shown)
    assert figure.layout.title.text == shown.finding
    assert "USD" in figure.layout.xaxis.title.text
    drawn = sum(sum(1 for text in bars.text if text) for bars in figure.data)
    assert drawn == len(shown.names)


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["svg", "html"])
def test_compare_draws_the_waterfall(run, tmp_path, ending):
    path = tmp_path / f"why.{ending}"
    ran = run("compare", *PAIR, "--chart", str(path), "--json")
    assert ran.status == 0
    assert len(ran.json["scenarios"]) == 2
    text = path.read_text()
    assert "deepseek-v3 costs $" in text
    assert "baseline deepseek-v3@1f1b+bf16+h100" in text


@pytest.mark.slow
def test_one_chart_draws_one_difference(run, tmp_path):
    path = tmp_path / "why.svg"
    axis = "price.usd_per_gpu_hour=1,2,3"
    ran = run("compare", "deepseek-v3", "--vary", axis, "--chart", str(path))
    assert (ran.status, path.exists()) == (2, False)
    assert "draws one difference, not 2" in ran.err


@pytest.mark.slow
def test_the_page_shows_what_compare_prints(made):
    app = opened(variants=["1f1b", "bf16", "h100"])
    assert PAIR[0] in app.subheader[0].value.replace("\\", "")
    inputs = app.table[0].value
    assert len(inputs) == len(made.shares)
    for share in made.shares:
        (row,) = (
            each
            for _, each in inputs.iterrows()
            if share.input.startswith(said_cell(each["Input"]))
        )
        assert row["Cost"].replace("\\", "") == signed(dollars(share.cost_usd))
        assert row["GPU-hours"] == signed(short(share.gpu_hours))
    (chart,) = app.get("plotly_chart")
    assert chart.proto.id.endswith("difference")


def said_cell(text):
    return text.replace("\\", "").replace("\N{ZERO WIDTH SPACE}", "")


@pytest.mark.slow
def test_only_differences_are_listed():
    app = opened(overrides=["price.usd_per_gpu_hour=3"])
    results = app.table[1].value
    assert (results["Baseline"] != results["Now"]).all()
    assert results["Result"].tolist() == ["cost", "price"]


def test_what_the_sidebar_changes_stands_against_the_scenario():
    app = opened(overrides=["cluster.fabric.bytes_per_s=25GB/s"])
    assert app.selectbox(key="baseline").value == "deepseek-v3"
    assert any("deepseek-v3, changed costs" in said(text) for text in app.markdown)
    assert "2 fields" in app.expander[0].label  # the other is what its source says


@pytest.mark.slow
def test_a_variant_is_the_baseline_where_nothing_is_changed():
    assert len(opened().multiselect(key="with").value) == 1


@pytest.mark.slow
def test_nothing_that_differs_is_said():
    app = opened(variants=[])
    app.multiselect(key="with").set_value([]).run()
    (note,) = app.info
    assert "Nothing that counts differs" in note.value
    assert not app.metric


@pytest.mark.slow
def test_an_owned_cluster_is_told_from_a_rented_one():
    app = opened(overrides=["price=owned-h800"])
    (note,) = (said(text) for text in app.caption if "per GPU-hour" in said(text))
    assert "Owned GPUs" in note
    assert "Baseline: Rented GPUs" in note


@pytest.mark.slow
def test_what_does_not_fit_is_said_first():
    app = opened(overrides=["recompute=none"])
    assert "does not fit" in said(app.error[0])
    assert len(app.metric) == 4


@pytest.mark.slow
def test_a_wrong_question_is_one_message(open_page):
    (error,) = open_page("compare", gpus="2000").error
    assert "try num_gpus: 2048" in said(error)
