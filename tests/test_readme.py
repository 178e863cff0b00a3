"""The README says what the program says today."""

import re
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text()


def row(name):
    (line,) = (line for line in README.splitlines() if line.startswith(f"| {name}"))
    return [cell.strip() for cell in line.split("|")[2:-1]]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("one step", lambda report: report.step.step_s),
        ("\u2013 forward chunks", lambda report: report.step.ranks[0].forward_s),
        (
            "\u2013 backward chunks",
            lambda report: (
                report.step.ranks[0].backward_s + report.step.ranks[0].backward_input_s
            ),
        ),
        ("\u2013 overlapped pairs", lambda report: report.step.ranks[0].overlapped_s),
        ("\u2013 weight chunks", lambda report: report.step.ranks[0].weight_s),
        ("\u2013 bubble", lambda report: report.step.ranks[0].bubble_s),
        ("\u2013 optimizer", lambda report: report.step.ranks[0].optimizer_s),
    ],
)
def test_the_table_holds_the_predicted_step(report, name, value):
    published, predicted, error = row(name)
    assert predicted == f"{value(report):.3f}"
    error_of = value(report) / float(published) - 1
    assert error == f"{error_of:+z.1%}".replace("%", " %")


def test_the_table_holds_the_predicted_gpu_hours(report):
    published, predicted, error = row("pre-training")
    hours = report.phases[0].gpu_hours
    assert predicted == f"{hours / 1e6:.3f}M"
    assert error == f"{hours / 1e6 / float(published[:-1]) - 1:+.1%}".replace("%", " %")


def test_the_text_holds_the_total_and_its_range(report):
    text = " ".join(README.split())
    low, high = (f"${end / 1e6:.2f}M" for end in report.range["cost_usd"])
    assert (
        f"{report.gpu_hours / 1e6:.3f}M GPU-hours and ${report.cost_usd / 1e6:.2f}M"
        in text
    )
    assert f"between {low} and {high}" in text


def test_the_first_commands_do_all_set_up():
    commands = re.findall(r"```sh\n(.*?)\n```", README, re.DOTALL)
    assert "estimator run deepseek-v3" in commands[0]
    assert "pytest" in commands[1]
    assert all(command.startswith("python3 -m venv") for command in commands[:2])
