"""The Method page: formulas with the question's numbers, schedules, limits."""

import pytest

from estimator.catalog import kinds
from estimator.faces.pages import method
from estimator.ground.words import CLOSE, duration, short
from estimator.schedules.closed_form import durations
from estimator.schedules.programs import schedule
from estimator.show import pipelines


def said(app):
    every = [*app.markdown, *app.caption]
    return " ".join(str(each.value).replace("\\", "") for each in every)


@pytest.fixture(scope="module")
def app(open_page):
    return open_page("method")


def test_formulas_stand_with_the_numbers_of_the_estimate(app, report):
    text = said(app)
    assert f"H = {short(report.gpu_hours, CLOSE)}" in text
    assert f"takes {duration(report.step.step_s, CLOSE)}" in text
    assert f"{report.step.mfu:.1%}" in text
    assert len(app.latex) == 4


def test_what_is_not_counted_and_what_is_published_are_said(app, report):
    text = said(app)
    assert f"Not counted: {report.not_counted}." in text
    assert "Taken over as published, not predicted: context-extension" in text
    assert report.range_method.split("`")[0] in text


def test_every_schedule_is_played_beside_its_formula(app):
    rows = app.dataframe[0].value.set_index("schedule")
    assert rows.index.tolist() == list(schedule)
    for name, row in rows.iterrows():
        step = pipelines.load_step(name, 8, 32, None, durations())
        assert row["bubble, s"] == pytest.approx(sum(step.bubble_s) / 8)
        if step.closed_form and step.closed_form.holds:
            assert row["formula, s"] == pytest.approx(row["bubble, s"])


def test_limits_and_documents_are_those_of_the_docs(app):
    text = (kinds.data_folder() / "docs/validation.md").read_text()
    after = text.split(method.LIMITS)[1].strip().split("\n")[0]
    assert after in said(app)
    labels = [each.label for each in app.expander]
    assert set(method.DOCUMENTS.values()) <= set(labels)


def test_the_page_works_without_documents(open_page, monkeypatch):
    monkeypatch.setattr(method, "_document", lambda name: "")
    assert "Where not to trust it" not in said(open_page("method"))


def test_another_question_has_other_numbers(open_page):
    text = said(open_page("method", gpus="4096", price="3"))
    assert "N = 4,096 GPUs" in text
    assert "p = $3 an hour" in text
    (error,) = open_page("method", gpus="2000").error
    assert "try num\\_gpus\\: 2048" in error.value
