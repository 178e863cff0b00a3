"""Numbers in words: a unit that fits, three digits, and nothing that reads as zero."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimator.answer.api import estimate
from estimator.answer.asked import question
from estimator.catalog.loading import load_scenario
from estimator.ground.units import parse_quantity
from estimator.ground.words import (
    CLOSE,
    DIGITS,
    dollars,
    duration,
    energy,
    mass,
    quantity,
    relative,
    share,
    short,
    size,
)
from estimator.show.tables.report import headline
from estimator.show.wording import compute_words

WORDS = (short, dollars, duration, energy, mass, size)
NUMBER = re.compile(r"-?\$?(?P<whole>[\d,]+)(?:\.(?P<rest>\d+))?(?:e(?P<power>-?\d+))?")
MAGNITUDES = st.builds(
    lambda digits, power: digits * 10.0**power,
    st.floats(1, 10, exclude_max=True),
    st.integers(-15, 17),
)


@pytest.mark.slow
@pytest.mark.parametrize("words", WORDS)
@given(value=MAGNITUDES, digits=st.sampled_from([DIGITS, CLOSE]))
def test_what_is_not_zero_never_reads_as_zero(words, value, digits):
    found = NUMBER.match(words(value, digits))
    assert float(found[0].strip("$").replace(",", "")) > 0
    assert len(found["whole"].replace(",", "")) <= 4


@pytest.mark.slow
@pytest.mark.parametrize("words", WORDS)
@given(value=MAGNITUDES)
def test_no_more_digits_are_told_than_are_known(words, value):
    found = NUMBER.match(words(value))
    told = (found["whole"].replace(",", "") + (found["rest"] or "")).lstrip("0")
    assert len(told) <= max(DIGITS, len(found["whole"].replace(",", "")))


@pytest.mark.slow
@pytest.mark.parametrize("unit", ["s", "B", "B/s", "FLOP/s", "W", "USD"])
@given(
    value=st.builds(lambda d, p: d * 10.0**p, st.floats(1, 9.99), st.integers(0, 18))
)
def test_an_input_in_words_reads_back(unit, value):
    assert parse_quantity(quantity(value, unit), unit) == pytest.approx(value, rel=1e-3)


@given(value=MAGNITUDES)
def test_a_unit_is_told_by_rounding_as_the_number_is(value):
    text = duration(value)
    assert not re.match(r"(1,?000|60|120) s", text)


def test_a_run_of_minutes_is_told_in_minutes():
    report = estimate("gpt3-175b", ["phases.0.num_tokens=1e7"], is_played=False)
    cells = [str(cell) for row in headline(report).rows for cell in row]
    assert not [cell for cell in cells if re.match(r"\$?0(\.0+)?( |$)", cell)]
    assert any(cell.endswith((" min", " s")) for cell in cells)


def test_giant_and_tiny_numbers_are_told_plainly():
    assert short(1e18) == "1e18"
    assert [share(980.0), share(8e-12), share(0.0)] == [
        "98,000%",
        "less than 0.001%",
        "0%",
    ]
    assert relative(99999999999999.0) == "1e14 times"
    tiny = estimate("gpt3-175b", ["phases.0.num_tokens=1"], is_played=False)
    assert "% of 1e25 (" in compute_words(tiny)
    asked = load_scenario("gpt3-175b", ["phases.0.num_tokens=1"])
    assert "with 1 token take on" in question(asked)
