"""Numbers inside equations of costs, held against where the equations come from."""

import pytest
from loops import each

from estimator.catalog.kinds import names
from estimator.catalog.loading import load
from estimator.costs.all_to_all import Sent, wait_of_exchange_s
from estimator.costs.attention import attention_backward_flop
from estimator.costs.money import switch_layers
from estimator.costs.rates import FEWEST_SMS, Links, slowest

ROWS = Sent(
    num_tokens=4096,
    hidden_size=7168,
    experts_per_token=8,
    dispatch_bytes=1 + 4 / 128,
    combine_bytes=2.0,
)


def test_a_token_travels_with_weights_and_indices_and_comes_back_with_weights():
    scales = 7168 / 128 * 4
    assert ROWS.row_out_bytes == 7168 + scales + 8 * (4 + 8)
    assert ROWS.row_back_bytes == 7168 * 2 + 8 * 4


@each(("num_nodes", "share"), [(1, 0), (2, 0.1), (4, 0.1), (6, 0.55), (8, 1), (99, 1)])
def test_ranks_wait_little_on_few_nodes_and_all_of_it_from_eight(num_nodes, share):
    ways = Links(8, 1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 2e-3, 155e6, 0.1)
    waited = wait_of_exchange_s(ways, 310e6, num_nodes)
    assert waited == pytest.approx(2 * 2e-3 * share)


@each(
    ("num_units", "deviations"),
    [(2, 0.5642), (10, 1.5388), (100, 2.5076), (1000, 3.2414)],
)
def test_the_slowest_of_many_is_their_expected_extreme(num_units, deviations):
    # H. L. Harter, "Expected Values of Normal Order Statistics," Biometrika 1961
    assert (1 - slowest(0.01, num_units)) / 0.01 == pytest.approx(deviations, rel=0.05)


def test_a_tree_of_64_port_switches_has_a_third_layer_beyond_2048():
    assert (switch_layers(2048), switch_layers(2049)) == (2, 3)


def test_attention_backward_is_five_products_for_two():
    qk, v = 192, 128
    forward = 2 * qk + 2 * v  # per score
    scores, keys, queries = 2 * qk, 2 * qk, 2 * qk
    weights, values = 2 * v, 2 * v
    assert attention_backward_flop(forward, qk, v) == pytest.approx(
        scores + keys + queries + weights + values
    )


def test_accelerators_of_few_large_cores_run_no_blocks_of_threads():
    large = {name for name in names("gpu") if load("gpu", name).num_sms < FEWEST_SMS}
    without = ("tpu", "gaudi", "trainium", "ascend")
    assert large >= {name for name in names("gpu") if name.startswith(without)}
    assert all(name.startswith((*without, "apple")) for name in large)
