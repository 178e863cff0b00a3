"""Products of parallel degrees: what they divide, and what is said if they do not."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimator.specs.degrees import Degrees

SIZES = st.sampled_from((1, 2, 3, 4, 6, 8))
PLANS = st.builds(
    Degrees,
    **dict.fromkeys(("tp", "cp", "pp", "ep", "etp"), SIZES),
    dp_shard=st.just(0),
)


@given(PLANS, st.integers(1, 512))
def test_a_plan_covers_the_gpus_or_a_product_does_not_divide_them(plan, num_gpus):
    wrong = plan.indivisible(num_gpus)
    assert plan.divide(num_gpus) == (wrong is None)
    if wrong is None:
        assert plan.dp(num_gpus) * plan.width == num_gpus
    else:
        told = set(map(int, re.findall(r"\d+", wrong.words)))
        assert {num_gpus, wrong.total, *wrong.sizes.values()} - {1} <= told


@given(PLANS, st.integers(1, 512))
def test_an_axis_of_the_size_advised_makes_its_product_divide(plan, num_gpus):
    wrong = plan.indivisible(num_gpus)
    for axis in wrong.sizes if wrong else ():
        if room := wrong.room(axis):
            mended = plan._replace(**{axis: room}).indivisible(num_gpus)
            assert mended is None or mended.sizes.keys() != wrong.sizes.keys()


@pytest.mark.parametrize("shard", [1, 2, 4, 8])
def test_shards_divide_the_replicas(shard):
    assert Degrees(tp=8, dp_shard=shard).indivisible(64) is None
    assert Degrees(tp=8, dp_shard=3 * shard).indivisible(64).axis == "dp_shard"
