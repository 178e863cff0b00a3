"""Export rules against the table they were computed from, and their edges."""

import pytest
from loops import each

from estimator.catalog.kinds import names
from estimator.catalog.loading import load
from estimator.costs.export_control import (
    BITS,
    control,
    meets_october_2022,
    october_2023,
    performance_density,
    total_processing_performance,
)
from estimator.show import listing

# Computed from dense datasheet rates: TPP, and whether the rules of October 2022 and of
# October 2023 (3A090.a) are met. Source of the rules: estimator/costs/export_control.py.
EXPECTED = {
    "v100-sxm2-32": (2000, False, False),
    "a100-sxm-40": (4992, True, True),
    "a100-sxm-80": (4992, True, True),
    "a800-sxm": (4992, False, True),
    "h100-sxm": (15831, True, True),
    "h200-sxm": (15831, True, True),
    "gh200": (15831, True, True),
    "h800-sxm": (15831, False, True),
    "h100-pcie": (12104, True, True),
    "h800-pcie": (12104, False, True),
    "h100-nvl": (13368, True, True),
    "h20": (2368, False, False),
    "mi250x": (6128, True, True),
    "mi300x": (20919, True, True),
    "mi325x": (20919, True, True),
    "mi355x": (60396, True, True),
    "b200-sxm": (36000, True, True),
    "gb200": (40000, True, True),
    "b300-sxm": (54000, True, True),
    "gb300": (60000, True, True),
    "l40s": (5864, False, True),
    "rtx-4090": (5285, False, True),
    "rtx-5090": (6704, False, True),
    "gaudi2": (6920, False, True),
    "gaudi3": (26832, True, True),
    "ascend-910b": (6016, False, True),
    "ascend-910c": (12480, False, True),
    "tpu-v4": (4400, False, None),
    "tpu-v5e": (3152, False, None),
    "tpu-v5p": (7344, True, True),
    "tpu-v6e": (14688, True, True),
    "trainium2": (10672, True, True),
}


@each("name", EXPECTED)
def test_processing_performance_is_the_computed_table(name):
    tpp, is_stopped, is_a = EXPECTED[name]
    made = control(load("gpu", name))
    # the table rounds 8 x 1978.9 down; the H100's datasheet prints 1979
    assert made.tpp == pytest.approx(tpp, abs=1)
    assert made.october_2022 is is_stopped
    expected = {True: "3A090.a", False: "none", None: "needs the die area"}
    assert made.october_2023 == expected[is_a]


def test_densities_of_the_dies_that_are_published():
    density = {name: control(load("gpu", name)).density for name in ("h100-sxm", "h20")}
    assert density["h100-sxm"] == pytest.approx(19.4, abs=0.1)
    assert density["h20"] == pytest.approx(2.91, abs=0.01)
    assert control(load("gpu", "b200-sxm")).density is None


def test_the_h20_sits_just_below_every_limit():
    made = control(load("gpu", "h20"))
    assert made.tpp < 2400
    assert made.density < 3.2
    assert october_2023(2400, made.density) == "3A090.b"
    assert october_2023(made.tpp, 3.2) == "3A090.b"


@each(
    ("tpp", "density", "paragraph"),
    [
        (4800, None, "3A090.a"),
        (4799, 5.92, "3A090.a"),
        (4799, 5.91, "3A090.b"),
        (2400, 1.6, "3A090.b"),
        (2400, 1.59, "none"),
        (2399, 1.6, "none"),
        (1600, 5.92, "3A090.a"),
        (1600, 3.2, "3A090.b"),
        (1599, 99.0, "none"),
    ],
)
def test_the_edges_of_october_2023(tpp, density, paragraph):
    assert october_2023(tpp, density) == paragraph


def test_the_edges_of_october_2022():
    assert meets_october_2022(4800, 600e9)
    assert not meets_october_2022(4799, 600e9)
    assert not meets_october_2022(4800, 599e9)


@each("dtype", [*BITS])
def test_a_format_counts_its_bits(dtype):
    sign, exponent, mantissa = 1, 8, 10  # of TF32
    digits = int(dtype.strip("abcdefghijklmnopqrstuvwxyz"))
    bits = sign + exponent + mantissa if dtype == "tf32" else digits
    assert total_processing_performance({dtype: 1e12}).tpp == bits


def test_a_cut_link_escapes_2022_and_not_2023():
    for whole, cut in (("a100-sxm-80", "a800-sxm"), ("h100-sxm", "h800-sxm")):
        before, after = control(load("gpu", whole)), control(load("gpu", cut))
        assert before.october_2022
        assert not after.october_2022
        assert before.october_2023 == after.october_2023 == "3A090.a"


def test_vector_rates_are_not_counted():
    assert total_processing_performance({"fp32": 1e15}).tpp == 0
    with pytest.raises(ValueError, match="a die has an area"):
        performance_density(1, 0)


def test_the_list_tabulates_the_rules_and_a_record_explains_them():
    rows = {row["name"]: row for row in listing.rows("gpu")}
    assert set(rows) == set(names("gpu"))
    assert rows["h800-sxm"]["october_2022"] is False
    assert rows["h800-sxm"]["sources"]
    assert "400 GB/s" in listing.show("gpu", "h800-sxm")["export_control"]["why"]
