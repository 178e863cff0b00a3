"""The Validation page: every run with its error, whatever is filtered."""

import pytest

from estimator.faces.pages import validation as page
from estimator.show.validation.tables import percent
from estimator.validation import runs
from estimator.validation.scoring import of_quantity, spread


@pytest.fixture(scope="module")
def outcome():
    return runs.validate(source="korthikanti")


@pytest.fixture
def opened(outcome, monkeypatch, open_page):
    page._outcome.clear()
    monkeypatch.setattr(page, "validate", lambda: outcome)
    yield lambda **parameters: open_page("validation", **parameters)
    page._outcome.clear()


def numbers(app):
    return {metric.label: metric.value.replace("\\", "") for metric in app.metric}


@pytest.mark.slow
def test_the_page_shows_the_errors_of_validate(opened, outcome):
    app = opened()
    rows = of_quantity(outcome.rows, "step_s")
    made = spread([row.error for row in rows])
    shown = numbers(app)
    assert shown["Runs"] == str(len(rows))
    assert shown["90th percentile"] == percent(made["p90_abs_error"])
    assert shown["Bias"] == percent(made["bias"], is_signed=True)
    sources, runs = (table.value for table in app.dataframe[:2])
    assert sources["id"].tolist() == ["korthikanti"]
    errors = {row.id: round(100 * row.error, 1) for row in rows}
    assert dict(zip(runs["run"], runs["error, %"], strict=True)) == errors
    assert runs["error, %"].abs().is_monotonic_decreasing
    assert all(runs["source"])


@pytest.mark.slow
def test_filters_leave_fewer_runs(opened):
    (one,) = {row.gpu for row in page.validate().rows}
    assert numbers(opened(run_gpu=[one]))["Runs"] == numbers(opened())["Runs"]
    app = opened(run_family=["korthikanti"], run_kind=["dense"])
    assert "--family korthikanti" in app.code[0].value
    assert not app.warning


@pytest.mark.slow
def test_a_quantity_without_runs_is_said(opened):
    app = opened(quantity="Peak memory")
    assert "No run is left" in app.info[0].value
    assert not app.get("plotly_chart")


@pytest.mark.slow
def test_the_sidebar_changes_nothing_here(opened):
    assert numbers(opened(gpus="4096")) == numbers(opened())
