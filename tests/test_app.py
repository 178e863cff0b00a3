"""The dashboard shows what the estimate says, and says what is wrong."""

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.request

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from estimator.answer.api import estimate
from estimator.answer.api import trace as step_trace
from estimator.catalog import kinds, loading
from estimator.faces.pages.controls import KEYS
from estimator.ground.words import dollars, duration, short
from estimator.show.findings.timeline import alive

CHARTS = {
    "Memory": ["breakdown", "memory"],
    "Constants": ["breakdown", "layers", "sensitivity"],
    "Assumptions": ["breakdown"],
    "Export": ["breakdown"],
}


def opened(page="estimate", **parameters):
    """Return the app as a link with these parameters opens it."""
    app = AppTest.from_file(kinds.data_folder() / "app.py", default_timeout=60)
    app.session_state["has_painted"] = True  # no browser, nothing to wait for
    app._page_hash = calc_hash(page)  # switch_page() knows pages of files only
    for key, value in parameters.items():
        app.query_params[key] = value
    return checked(app.run())


def checked(app):
    assert not app.exception
    return app


def said(element):
    """Return an element's text without the marks that keep Markdown from reading it."""
    return str(element.value).replace("\\", "").replace("\N{ZERO WIDTH SPACE}", "")


def shown(app):
    return {metric.label: said(metric) for metric in app.metric}


def number(app, label):
    text = shown(app)[label].strip("$%")
    if label == "Wall time":
        return float(text.removesuffix(" days"))
    factor = {"K": 1e3, "M": 1e6, "G": 1e9}.get(text[-1], 1.0)
    return float(text.rstrip("KMG")) * factor


def command(app):
    return shlex.split(app.code[0].value)


def drawn(app):
    """Return the keys of the figures on a page."""
    return [chart.proto.id.rsplit("-", 1)[-1] for chart in app.get("plotly_chart")]


@pytest.fixture(scope="module")
def plain():
    return shown(opened())


@pytest.mark.slow
@pytest.mark.parametrize(("view", "charts"), CHARTS.items())
def test_every_tab_opens_with_its_figures(view, charts):
    app = opened(view=view)
    assert len(app.metric) == 4
    assert not app.error
    assert drawn(app) == charts


@pytest.mark.slow
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"node": "hgx-h100", "gpus": "4096"},
        {"ib": "25", "nvlink": "100", "price": "3.5"},
        {"schedule": "1f1b", "overlap": "false", "precision": "bf16"},
        {"schedule": "zb-v", "even": "true", "recompute": "full"},
        {"software": "megatron-core-2024-11"},
    ],
    ids=str,
)
def test_the_page_shows_what_its_command_prints(parameters, run):
    app = opened(**parameters)
    (made,) = run(*command(app)[1:], "--json").json
    assert shown(app) == {
        "Cost": dollars(made["cost_usd"]),
        "GPU-hours": short(made["gpu_hours"]),
        "Wall time": duration(made["wall_s"]),
        "MFU": f"{made['step']['mfu']:.1%}",
    }
    assert len(command(app)) == 3 + 2 * len(parameters)


@pytest.mark.slow
@pytest.mark.parametrize(
    "scenario",
    [*kinds.names("scenario"), "deepseek-v3@h100", "deepseek-v3@1f1b"],
)
def test_the_page_shows_what_the_command_prints(scenario, run):
    (made,) = run("run", scenario, "--json").json
    assert shown(opened(scenario=scenario)) == {
        "Cost": dollars(made["cost_usd"]),
        "GPU-hours": short(made["gpu_hours"]),
        "Wall time": duration(made["wall_s"]),
        "MFU": f"{made['step']['mfu']:.1%}",
    }


def test_the_number_on_the_page_is_the_estimate(report, plain):
    assert plain["Cost"] == f"${short(report.cost_usd)}"
    assert plain["GPU-hours"] == short(report.gpu_hours)


def test_ranges_hold_the_number(report):
    for low, high, value in (
        (*report.wall_range_s, report.wall_s),
        (*report.mfu_range, report.step.mfu),
    ):
        assert low < value < high
    assert report.wall_range_s[1] / report.wall_s == pytest.approx(
        report.range["gpu_hours"][1] / report.gpu_hours
    )


def test_more_gpus_take_less_time_and_more_hours():
    app = opened()
    days, hours = number(app, "Wall time"), number(app, "GPU-hours")
    checked(app.number_input(key="gpus").set_value(4096).run())
    assert days / 2 < number(app, "Wall time") < days
    assert number(app, "GPU-hours") > hours


def test_a_slower_network_costs_more():
    app = opened()
    before = number(app, "Cost")
    checked(app.number_input(key="ib").set_value(25.0).run())
    assert number(app, "Cost") > 1.1 * before


def test_the_price_moves_the_cost_alone():
    app = opened()
    before = shown(app)
    cost = number(app, "Cost")
    checked(app.number_input(key="price").set_value(4.0).run())
    assert number(app, "Cost") == pytest.approx(2 * cost, rel=2e-3)
    assert shown(app) | {"Cost": ""} == before | {"Cost": ""}


def test_an_overridden_price_loses_its_source():
    app = opened(price="4", view="Assumptions")
    assert "set by the user" in " ".join(app.dataframe[0].value["Source"])


@pytest.mark.slow
def test_a_node_brings_its_own_nvlink():
    app = opened(nvlink="100")
    checked(app.selectbox(key="node").set_value("hgx-h100").run())
    assert app.number_input(key="nvlink").value == 450
    assert command(app)[3:] == ["--set", "cluster.node=hgx-h100"]


def test_an_h100_is_no_dearer_than_an_h800(plain):
    app = opened(node="hgx-h100")
    assert shown(app)["MFU"] >= plain["MFU"]
    assert number(app, "GPU-hours") <= float(plain["GPU-hours"].rstrip("M")) * 1e6


def test_a_plan_that_does_not_fit_says_so_first():
    app = opened(recompute="")
    first = app.main[1]  # below the place of what a link got wrong
    assert first.type == "error"
    assert said(first).startswith("It does not fit")
    assert "needs 69.7 GB and fits" in said(first)
    assert "what it would take if it did" in said(first)
    assert len(app.metric) == 4


def test_an_impossible_input_is_one_message_and_loses_nothing(plain):
    app = opened(price="2.5")
    before = shown(app)
    checked(app.number_input(key="gpus").set_value(2000).run())
    (error,) = app.error
    assert "try num_gpus: 2048" in said(error)
    assert shown(app) == before
    checked(app.number_input(key="gpus").set_value(2048).run())
    assert not app.error
    assert shown(app)["GPU-hours"] == plain["GPU-hours"]
    assert app.number_input(key="price").value == 2.5


def test_a_schedule_that_needs_another_layout_says_which():
    (error,) = opened(schedule="zb-v").error
    assert "try plan.stage_layout: even" in said(error)


@pytest.mark.slow
def test_a_broken_scenario_file_is_one_message(monkeypatch, tmp_path):
    (tmp_path / "hardware").mkdir()
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios/bad.yaml").write_text("name: bad\nname: worse\n")
    app = AppTest.from_file(kinds.data_folder() / "app.py", default_timeout=60)
    monkeypatch.setattr(kinds, "data_folder", lambda: tmp_path)
    (error,) = checked(app.run()).error
    assert "gives 'name' twice" in said(error)


def test_a_link_sets_the_controls():
    app = opened(node="hgx-h100", gpus="3072", ib="25", overlap="false", price="3")
    held = {key: app.session_state[key] for key in KEYS}
    assert held["node"] == "hgx-h100"
    assert (held["gpus"], held["ib"], held["price"]) == (3072, 25.0, 3.0)
    assert held["overlap"] is False


def test_the_software_is_chosen_among_what_runs_on_the_gpu():
    app = opened(software="pytorch-fsdp2")
    (choice,) = (each for each in app.selectbox if each.label == "Software")
    assert choice.value == "pytorch-fsdp2"
    assert choice.options[0] == "megatron-core-2026-08"
    assert "primus-2025-10" not in choice.options
    app = checked(app.selectbox(key="node").set_value("mi300x-x8").run())
    (choice,) = (each for each in app.selectbox if each.label == "Software")
    assert choice.value == "pytorch-fsdp2"
    assert choice.options[0] == "primus-2025-10"
    assert "hai-llm-2024-12" not in choice.options


def test_software_gives_way_to_a_node_that_it_does_not_run_on():
    app = checked(opened().selectbox(key="node").set_value("tpu-ironwood-pod").run())
    assert app.session_state["software"] == "maxtext-2025-12"
    assert not app.error
    assert "software" not in app.query_params
    link = opened(node="tpu-ironwood-pod", software="hai-llm-2024-12")
    assert "software=hai-llm-2024-12" in said(link.warning[0])


@pytest.mark.filterwarnings("ignore::estimator.catalog.moved.MovedWarning")
def test_an_older_value_that_is_set_in_a_link_counts():
    old, new = (
        opened(set=f"{path}=blocking", schedule="1f1b")
        for path in ("plan.launch", "software.kernels.launch")
    )
    assert shown(old) == shown(new)
    assert not old.error


def test_a_link_names_what_it_does_not_understand():
    app = opened(gpus="many", node="hgx-x", colour="red", recompute=["full", "half"])
    (warning,) = app.warning
    for left in ("gpus=many", "node=hgx-x", "colour=red", "recompute=half"):
        assert left in said(warning)
    assert "full" not in said(warning)
    checked(app.number_input(key="price").set_value(3.0).run())
    assert not app.warning


def test_a_default_in_a_link_is_understood():
    assert not opened(gpus="2048", nvlink="200", overlap="true", view="Memory").warning


def test_published_phases_are_marked():
    app = opened()
    basis = app.table[0].value["Basis"].tolist()
    assert basis == ["simulated", *[":orange-badge[published]"] * 2]


def test_the_page_says_what_is_not_counted():
    assert any("Not counted: research" in said(note) for note in opened().caption)


def test_every_assumption_stands_in_a_table(report):
    app = opened(view="Assumptions")
    texts = [row for row in report.assumptions if isinstance(row.value, str)]
    assert len(app.dataframe[0].value) + len(texts) == len(report.assumptions)


@pytest.mark.slow
def test_the_schedule_page_draws_one_step(report):
    app = opened("schedule")
    assert drawn(app) == ["timeline", "ranks"]
    assert shown(app)["Step"] == duration(report.step.step_s)
    assert shown(app)["Bubble"] == f"{report.step.bubble_fraction:.1%}"
    assert len(app.get("segmented_control")) == 1


@pytest.mark.slow
def test_a_second_schedule_stands_on_the_same_axis():
    app = opened("schedule", against="1f1b")
    assert "with 1f1b" in said_below(app, "Step")
    finding = next(said(each) for each in app.markdown if "waits" in said(each))
    assert finding.startswith("**dualpipe waits 14% of 20.1")
    assert "1f1b waits" in finding
    assert not app.warning


def said_below(app, label):
    delta = next(each.delta for each in app.metric if each.label == label)
    return delta.replace("\\", "")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["deepseek-v3", "deepseek-v3@1f1b"])
def test_chunks_over_time_reach_the_most_in_flight(name):
    scenario = loading.load_scenario(name)
    memory, trace = estimate(scenario, has_range=False).memory, step_trace(scenario)
    for rank, most in enumerate(memory.in_flight):
        points = alive(trace, rank)
        assert max(count for _, count in points) == most
        assert points[-1][1] == 0


@pytest.mark.slow
def test_chunks_over_time_reach_the_number_above_them():
    app = opened("schedule", scenario="deepseek-v3@1f1b", against="dualpipe")
    heading = next(
        said(each) for each in app.markdown if "Activations kept" in said(each)
    )
    own, other = shown(app)["Chunks in flight"], said_below(app, "Chunks in flight")
    assert f"1f1b, rank 0: at most {own};" in heading
    assert heading.rstrip("*").endswith(f"at most {other.split()[0]}")


def test_a_tab_is_not_called_ignored_where_nothing_can_be_shown():
    app = opened(gpus="256", view="Memory")
    assert "does not divide" in said(app.error[0])
    assert not app.warning


@pytest.mark.slow
def test_a_second_schedule_gets_even_stages_where_it_needs_them():
    assert "zb-v, even stages" in said_below(opened("schedule", against="zb-v"), "Step")


@pytest.mark.slow
def test_a_second_schedule_brings_its_stages_per_rank():
    app = opened("schedule", scenario="gpt3-175b", against="1f1b")
    assert "1f1b, its own stages per rank" in said_below(app, "Step")


@pytest.mark.slow
def test_a_second_schedule_that_cannot_run_is_one_message(monkeypatch):
    monkeypatch.setattr("estimator.faces.pages.schedule.ADAPTED", {"": ()})
    app = opened("schedule", scenario="gpt3-175b", against="1f1b")
    assert "places 1 of a micro-batch's stages" in said(app.warning[0])
    assert drawn(app) == ["timeline", "ranks"]


def test_a_step_too_long_to_draw_is_not_drawn(monkeypatch):
    monkeypatch.setattr("estimator.faces.pages.schedule.MOST_DRAWN", 1)
    app = opened("schedule")
    assert "too long to draw" in app.info[0].value
    assert drawn(app) == ["ranks"]


def test_the_question_goes_from_page_to_page():
    app = opened(gpus="4096", ib="25")
    cost = shown(app)["Cost"]
    app._page_hash = calc_hash("schedule")
    checked(app.run())
    assert app.number_input(key="ib").value == 25.0
    app._page_hash = calc_hash("estimate")
    assert shown(checked(app.run()))["Cost"] == cost


def test_the_dashboard_names_a_missing_extra(monkeypatch, run):
    monkeypatch.setattr("estimator.ground.extras.find_spec", lambda name: None)
    ran = run("dashboard")
    assert ran.status == 2
    assert ran.err == (
        "the dashboard needs streamlit and plotly: "
        "install the extra 'app' (pip install 'estimator[app]')\n"
    )


def test_the_dashboard_stays_on_this_machine():
    path = kinds.data_folder() / ".streamlit/config.toml"
    config = tomllib.loads(path.read_text())
    assert config["server"]["address"] == "127.0.0.1"
    assert config["browser"]["gatherUsageStats"] is False


@pytest.mark.slow
def test_the_dashboard_answers_on_the_loopback_address(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = "from estimator.faces.cli.main import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", script, "dashboard", "--port", str(port)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as server:
        try:
            assert answered(f"http://127.0.0.1:{port}/_stcore/health") == "ok"
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(timeout=20)


def answered(url):
    """Return what a server that is starting answers, within 30 seconds."""
    for _ in range(150):
        try:
            with urllib.request.urlopen(url) as response:  # noqa: S310 - loopback
                return response.read().decode()
        except OSError:
            time.sleep(0.2)
    return "nothing"
