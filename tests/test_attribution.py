"""Shares add up, whatever the order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimator.catalog.loading import scenario_document
from estimator.explore.attribution import IGNORED, changed, label, patched, shapley


@given(st.integers(1, 8), st.integers(0, 2**32 - 1))
def test_shares_add_up_to_the_difference(count, seed):
    def value(subset):
        return float(hash((seed, tuple(sorted(subset)))) % 10_000)

    total = value(frozenset(range(count))) - value(frozenset())
    assert sum(shapley(count, value)) == pytest.approx(total, abs=1e-6)


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=6))
def test_without_interaction_each_input_gets_its_own_effect(effects):
    shares = shapley(
        len(effects), lambda subset: sum(effects[index] for index in subset)
    )
    assert shares == pytest.approx(effects, abs=1e-9)


def test_equal_inputs_share_equally():
    shares = shapley(4, lambda subset: len(subset) ** 2)
    assert shares == pytest.approx([4.0] * 4)


def test_changes_are_found_and_patched():
    before = scenario_document("deepseek-v3")
    after = scenario_document("deepseek-v3@1f1b+h100", ["cluster.num_gpus=1024"])
    paths = changed(before, after)
    assert ("plan", "schedule") in paths
    assert ("cluster", "num_gpus") in paths
    made = patched(before, after, paths)
    assert {key: made[key] for key in made if key not in IGNORED} == {
        key: after[key] for key in after if key not in IGNORED
    }
    assert (
        label(("plan", "schedule"), before, after) == "plan.schedule: dualpipe -> 1f1b"
    )


def test_what_has_no_short_words_is_called_changed_and_no_repr_is_cut():
    before = scenario_document("deepseek-v3")
    after = scenario_document("llama-3.1-405b")
    phases = label(("phases",), before, after)
    assert phases.endswith("post-training -> pre-training")
    assert label(("precision",), before, after) == ("precision: fp8 -> bf16")
    assert label(("recompute",), before, after).endswith("-> layernorm, moe_act")
    made = [label(path, before, after) for path in changed(before, after)]
    assert not any("{'" in words or "['" in words for words in made)
