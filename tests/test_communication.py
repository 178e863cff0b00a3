"""Collectives and the expert all-to-all: textbook forms and measured rates."""

from dataclasses import replace
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimator.catalog.loading import load_scenario
from estimator.costs.all_to_all import (
    ExpertRanks,
    Sent,
    all_to_all,
    expected_distinct,
    spread,
    wait_of_exchange_s,
)
from estimator.costs.collectives import (
    Group,
    collective,
    group,
    ring_all_gather_s,
    ring_bytes_per_s,
    send_s,
)
from estimator.costs.overheads import Overheads
from estimator.costs.rates import Layer, links

CLUSTER = load_scenario("deepseek-v3").cluster
ALONE = links(CLUSTER, Layer.ACHIEVABLE, is_overlapped=False)
BESIDE = links(CLUSTER, Layer.IN_SITU, is_overlapped=True)


def exchange(ways, num_ranks):
    num_nodes = num_ranks // 8
    sent = Sent(
        num_tokens=4096,
        hidden_size=7168,
        experts_per_token=8,
        dispatch_bytes=1 + 4 / 128,
        combine_bytes=2,
    )
    places = spread(256, 8, num_nodes, num_ranks, 8, 4)
    return all_to_all(ways, sent, ExpertRanks(num_ranks, num_nodes, places))


@pytest.mark.parametrize(
    ("num_ranks", "dispatch", "combine"),
    [(32, 58e9, 57e9), (64, 51e9, 50e9)],
)
def test_exchanges_run_as_deepep_prints(num_ranks, dispatch, combine):
    # DeepEP docs/legacy.md, H800, 4,096 tokens, top-4 groups, top-8 experts. Its rates
    # count a token once for each node it visits, its own among them.
    places = spread(256, 8, num_ranks // 8, num_ranks, 8, 4)
    made = exchange(ALONE, num_ranks)
    sent = 4096 * places.nodes * 7168
    assert sent * (1 + 4 / 128) / made.dispatch_s == pytest.approx(dispatch, rel=0.15)
    assert sent * 2 / made.combine_s == pytest.approx(combine, rel=0.15)


def test_beside_computation_exchanges_take_what_the_trace_shows():
    # deepseek-ai/profile-data, forward dispatch 4.35 ms and cached 3.41 ms, combine 6.18
    made = exchange(BESIDE, 64)
    assert made.dispatch_s == pytest.approx((4.35e-3 + 3.41e-3) / 2, rel=0.05)
    assert made.combine_s == pytest.approx(6.18e-3, rel=0.05)


def test_nvlink_is_hidden_behind_the_fabric_even_on_an_h800():
    made, slow = (
        exchange(BESIDE, 64),
        exchange(replace(BESIDE, nvlink_bytes_per_s=80e9), 64),
    )
    assert made == slow
    assert (
        exchange(replace(BESIDE, nvlink_bytes_per_s=20e9), 64).combine_s
        > made.combine_s
    )


def test_a_token_visits_almost_all_of_its_four_nodes():
    places = spread(256, 8, 8, 64, 8, 4)
    assert 3.9 < places.nodes < 4.0
    assert 7.3 < places.ranks < 7.7


@given(places=st.integers(2, 16), items=st.integers(1, 16), data=st.data())
def test_without_limits_visits_follow_the_hypergeometric_law(places, items, data):
    drawn = data.draw(st.integers(1, places * items))
    value = expected_distinct(places, items, drawn)
    assert value + 1e-9 >= 1
    assert value <= min(places, drawn) + 1e-9
    missed = comb(places * items - items, drawn) / comb(places * items, drawn)
    assert value == pytest.approx(places * (1 - missed))


def test_the_wait_of_an_exchange_grows_with_its_nodes_and_bytes():
    waits = [wait_of_exchange_s(BESIDE, 155e6, n) for n in (1, 2, 4, 6, 8, 64)]
    assert waits == sorted(waits)
    assert waits[0] == 0
    assert waits[4] == waits[5] == BESIDE.rank_skew_s
    assert wait_of_exchange_s(BESIDE, 310e6, 8) == 2 * BESIDE.rank_skew_s


@pytest.mark.slow
@pytest.mark.parametrize("name", list(collective))
@given(num_bytes=st.floats(0, 1e12), size=st.integers(1, 256), more=st.floats(1, 1e9))
def test_collectives_are_monotone_and_one_rank_is_free(name, num_bytes, size, more):
    members = group(size, 1, 8)
    seconds = collective[name](num_bytes, members, ALONE)
    assert seconds >= 0
    assert collective[name](num_bytes + more, members, ALONE) >= seconds
    assert collective[name](num_bytes, Group(1, 1), ALONE) == 0
    bound = (
        num_bytes
        * (size - 1)
        / size
        / max(ALONE.nvlink_bytes_per_s, 8 * ALONE.nic_bytes_per_s)
    )
    assert seconds >= bound


def test_a_ring_moves_its_share_at_the_slowest_leg():
    # t = (p - 1) (alpha + n / (p beta)); inside a node beta is NVLink, 160 GB/s
    members = group(8, 1, 8)
    bare = replace(ALONE, overheads=Overheads(step_s=3.3e-6))
    expected = 7 * (3.3e-6 + 1e9 / 8 / 160e9)
    assert ring_all_gather_s(1e9, members, bare) == pytest.approx(expected)
    # over nodes, 8 members a node share 8 NICs: 320 GB/s, so NVLink binds
    assert ring_bytes_per_s(group(128, 1, 8), ALONE) == pytest.approx(160e9)
    # one member a node: its own NIC
    assert ring_bytes_per_s(group(4, 64, 8), ALONE) == pytest.approx(40e9)


def test_a_send_crosses_one_link():
    assert send_s(4e7, ALONE, is_inside_node=False) == pytest.approx(1e-3 + 3.7e-6)
    assert send_s(1.6e8, ALONE, is_inside_node=True) == pytest.approx(1e-3 + 3.3e-6)


def test_negative_sizes_are_refused():
    with pytest.raises(ValueError, match="not negative"):
        ring_all_gather_s(-1.0, Group(2, 2), ALONE)
    with pytest.raises(ValueError, match="must be positive"):
        group(0, 1, 8)
    with pytest.raises(ValueError, match="must be positive"):
        wait_of_exchange_s(BESIDE, 155e6, 0)
