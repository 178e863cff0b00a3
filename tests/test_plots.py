"""Figures of points: every point drawn, in its family's colour, and told in the title."""

from dataclasses import dataclass

import pytest
from matplotlib import image

from estimator.show.charts import plot as chart
from estimator.show.figures import write
from estimator.show.findings.validation import by_size, validation


@dataclass
class Run:
    family: str
    measured: float
    predicted: float
    quantity: str = "step_s"

    @property
    def id(self):
        return f"{self.family}-{self.measured:g}"

    @property
    def error(self):
        return self.predicted / self.measured - 1


RUNS = [
    Run("a", 1.0, 0.9),
    Run("a", 10.0, 8.0),
    Run("b", 100.0, 101.0),
    Run("a", 2e9, 1e9, "peak_bytes"),
]


def test_the_title_says_how_far_off_half_and_most_are():
    said = validation(RUNS).finding
    assert "3 step times are predicted within 10.0%" in said
    assert "67% are too short" in said
    assert "1 peaks of memory" in validation(RUNS, "peak_bytes").finding
    assert validation([]).finding == "There are no step times here"


def test_every_run_of_the_quantity_is_a_point():
    made = validation(RUNS)
    points = {point for curve in made.curves for point in zip(*curve[1:3], strict=True)}
    assert points == {(1.0, 0.9), (10.0, 8.0), (100.0, 101.0)}
    assert validation(RUNS, "peak_bytes").curves[0].x == (2.0,)


def test_a_selection_keeps_its_colours():
    families = by_size(RUNS)
    assert families == ["a", "b"]
    (alone,) = validation(RUNS[2:3], families=families).curves
    assert alone == validation(RUNS, families=families).curves[1]


def test_equal_values_lie_on_the_middle_line():
    equal, over, under = validation(RUNS).guides
    assert equal.x == equal.y
    assert over.y[0] / over.x[0] == pytest.approx(1.2)
    assert under.y[1] / under.x[1] == pytest.approx(0.8)


def test_the_browser_draws_what_was_found():
    made = validation(RUNS)
    figure = chart.drawn(made)
    assert figure.layout.title.text == made.finding
    assert [figure.layout.xaxis.type, figure.layout.yaxis.type] == ["log", "log"]
    assert "seconds" in figure.layout.xaxis.title.text
    drawn = figure.data[: len(made.curves)]
    assert [trace.x for trace in drawn] == [curve.x for curve in made.curves]
    assert "a-10: -20.0%" in drawn[0].text


def test_many_families_differ_in_colour_or_mark():
    runs = [Run(f"family {i}", 1.0 + i, 1.0 + i) for i in range(24)]
    drawn = chart.drawn(validation(runs)).data[:24]
    looks = {(trace.marker.color, trace.marker.symbol) for trace in drawn}
    assert len(looks) == 24


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_print_draws_it_too(ending, tmp_path):
    path = tmp_path / f"validation.{ending}"
    write.write(validation(RUNS), "a footer", path)
    content = path.read_bytes()
    if ending == "png":
        assert image.imread(path).shape[0] > 500
    elif ending == "svg":
        text = content.decode()
        assert "a footer" in text
        assert "predicted, seconds of a step" in text
        assert "mathdefault" not in text
    else:
        assert content.startswith(b"%PDF")
