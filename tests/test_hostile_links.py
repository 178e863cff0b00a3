"""Whatever a link says, the page answers: navigation, a message, and soon."""

import runpy
from pathlib import Path

import pytest

from estimator.catalog import loading
from estimator.faces import uploads
from estimator.ground.errors import InfeasibleError, InputError

LINKS = runpy.run_path(
    str(Path(__file__).parents[1] / "benchmarks" / "hostile_links.py")
)["LINKS"]


def said(elements):
    return " ".join(str(each.value) for each in elements).replace("\\", "")


@pytest.mark.slow
@pytest.mark.parametrize("name", LINKS)
def test_a_hostile_link_leaves_the_page_usable(name, open_page):
    page, parameters = LINKS[name]
    app = open_page(page, **parameters)
    assert not app.exception
    assert "Ignored in the link" in said(app.warning) or len(app.error) == 1
    assert "Traceback" not in said(app.error)
    assert app.selectbox(key="scenario").options
    assert len(app._registered_pages) == 10  # the one at the root has two addresses


def test_a_field_that_is_wrong_keeps_the_last_answer(open_page):
    app = open_page("estimate", price="2.5")
    before = [metric.value for metric in app.metric]
    app.text_area(key="set").set_value("plan.tp=3").run()
    assert not app.exception
    assert len(app.error) == 1
    assert "plan" in said(app.error)
    assert [metric.value for metric in app.metric] == before
    assert app.text_area(key="set").value == "plan.tp=3"


def test_a_long_answer_is_refused_before_it_is_worked_out():
    scenario = loading.load_scenario("llama-3.1-405b")
    assert uploads.expected_s(scenario) < uploads.MOST_S
    uploads.check_size(scenario)
    deep = loading.load_scenario(
        "llama-3.1-405b", ["model.num_layers=4096", "plan.stage_layout=even"]
    )
    with pytest.raises(InfeasibleError, match="more than a page works out"):
        uploads.check_size(deep)


@pytest.mark.parametrize(
    "patches", [["plan.tp=1"] * 33, ["plan.tp=" + "1" * 65], ["plan.tp=" + "a" * 400]]
)
def test_values_without_end_are_one_message(patches):
    with pytest.raises(InputError, match=r"values are set|digits|letters"):
        uploads.check_patches(patches)
