"""YAML and units at the gate."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimator.ground.documents import marked, parse_document, parse_override, place_of
from estimator.ground.errors import InputError
from estimator.ground.units import UNITS, BareNumber, parse_quantity


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("3.35 TB/s", "B/s", 3.35e12),
        ("400 Gbit/s", "B/s", 50e9),
        ("400 Gb/s", "B/s", 50e9),
        ("80 GB", "B", 80e9),
        ("80 GiB", "B", 80 * 2**30),
        ("989 TFLOP/s", "FLOP/s", 989e12),
        ("2.04 ms", "s", 2.04e-3),
        ("1us", "s", 1e-6),
        ("10.2 kW", "W", 10200),
        ("2 USD/h", "USD/h", 2),
        ("1e3 W", "W", 1000),
    ],
)
def test_quantities_become_si(text, unit, value):
    assert parse_quantity(text, unit) == pytest.approx(value)


@pytest.mark.parametrize(
    "text", [80, 80.0, "80", "GB", "80 gigs", "80 GB/s", "", None, [1], True]
)
def test_a_quantity_of_another_kind_is_refused(text):
    with pytest.raises(ValueError, match=r"unit|quantity"):
        parse_quantity(text, "B")


@given(st.floats(1e-300, 1e300), st.sampled_from(sorted(UNITS)))
def test_every_unit_is_read_back(number, name):
    factor, si = UNITS[name]
    if number * factor < 1e308:
        assert parse_quantity(f"{number!r} {name}", si) == pytest.approx(
            number * factor
        )


def test_scalars_mean_what_they_look_like():
    made = parse_document(
        "a: 405e9\nb: 1e-5\nc: 12:30:00\nd: no\ne: 'yes'\nf: 010\ng: 1_000\nh:\ni: true\nj: 2024-12",
        "x.yaml",
    )
    assert made == {
        "a": 405e9,
        "b": 1e-5,
        "c": "12:30:00",
        "d": "no",
        "e": "yes",
        "f": 10.0,
        "g": 1000,
        "h": None,
        "i": True,
        "j": "2024-12",
    }


def test_places_are_lines():
    made = parse_document("a:\n  b: 1\n  c:\n    - 2\n    - 3\n", "x.yaml")
    assert place_of(made, ("a", "b")) == "x.yaml:2"
    assert place_of(made, ("a", "c", 1)) == "x.yaml:5"
    assert place_of(made, ("a", "nothing")) == "x.yaml:1"


def test_an_override_is_a_bare_number_or_a_quantity():
    assert parse_override("a.b=3", "--set") == (("a", "b"), BareNumber(3))
    assert parse_override("a=25 GB/s", "--set") == (("a",), "25 GB/s")
    assert parse_override("a=[x, y]", "--set") == (("a",), ["x", "y"])
    assert parse_override("a={b: 2}", "--set") == (("a",), {"b": 2.0})


@pytest.mark.parametrize("sign", ["e", "r", "0", "x9b", "ud800"])
def test_no_text_holds_what_a_terminal_obeys(sign):
    for text in (f'a: "\\{sign}"', f'"\\{sign}": 1', f'a: [{{b: "x\\{sign}y"}}]'):
        with pytest.raises(InputError, match=r"control character|not YAML"):
            parse_document(text, "x.yaml")
    with pytest.raises(InputError, match=r"control character|not YAML"):
        parse_override(f'a="\\{sign}"', "--set")
    with pytest.raises(InputError, match=r"control character U\+001B"):
        marked({"a": ["\x1b[31m"]}, "the mapping")
    assert parse_document("a: |\n  two\n  lines", "x.yaml") == {"a": "two\nlines"}


@pytest.mark.slow
@given(st.text(max_size=200))
def test_any_text_is_a_mapping_or_one_message(text):
    try:
        made = parse_document(text, "x.yaml")
    except InputError as error:
        made = {"message": str(error)}
        assert "x.yaml" in made["message"]
    assert isinstance(made, dict)
