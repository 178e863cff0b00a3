"""Bubbles are the textbook's, and a closed form says where it does not hold."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loops import each

from estimator.engine.bubble import pipeline_step
from estimator.ground.errors import InputError
from estimator.schedules.closed_form import closed_form, durations
from estimator.schedules.notation import Pipeline

LOOPED = {"interleaved-1f1b", "interleaved-1f1b-overlap", "breadth-first"}

seconds = st.floats(0.1, 3.0)


@st.composite
def spent(draw):
    """Draw durations: equal, in a regime of zero bubble, with sums, or free."""
    f_s, i_s, w_s = draw(seconds), draw(seconds), draw(seconds)
    share = draw(st.floats(0.5, 1))
    return draw(
        st.sampled_from(
            [
                durations(f_s, f_s, f_s),
                durations(f_s, f_s, f_s * share),
                durations(f_s, min(f_s, w_s) * share, w_s),
                durations(f_s, i_s, w_s),
                durations(f_s, i_s, w_s, draw(seconds), draw(seconds)),
            ]
        )
    )


@st.composite
def shape(draw, name):
    """Draw a shape that the schedule takes."""
    num_ranks = draw(st.integers(1, 8))
    n = draw(st.integers(1, 3 * num_ranks))
    stages = draw(st.integers(1, 3)) if name in LOOPED else None
    if name == "interleaved-1f1b-overlap":
        n = max(n, num_ranks)
    if name.startswith("dualpipe"):
        num_ranks += num_ranks % 2
        n = 2 * draw(st.integers(num_ranks, 2 * num_ranks))
    return Pipeline(num_ranks, n, stages)


@pytest.mark.slow
@each("name", list(closed_form))
@settings(max_examples=40)
@given(data=st.data())
def test_a_closed_form_is_exact_on_every_rank_where_it_says_that_it_holds(name, data):
    step = pipeline_step(name, data.draw(shape(name)), data.draw(spent()))
    if step.closed_form.holds:
        expected = pytest.approx(step.closed_form.bubble_s, rel=1e-9, abs=1e-9)
        assert step.bubble_s == (expected,) * len(step.bubble_s)


@each("name", list(closed_form))
@each("num_ranks", [2, 4, 6])
def test_a_closed_form_holds_for_equal_durations(name, num_ranks):
    step = pipeline_step(
        name, Pipeline(num_ranks, 2 * num_ranks), durations(0.7, 0.7, 0.7)
    )
    assert step.closed_form.holds
    assert step.bubble_s[0] == pytest.approx(step.closed_form.bubble_s)


def bubble_s(name, num_ranks, n, *seconds):
    return pipeline_step(name, Pipeline(num_ranks, n), durations(*seconds)).bubble_s[0]


def test_the_textbook_bubbles():
    assert bubble_s("gpipe", 4, 8, 1, 1, 1) == 3 * (1 + 2)  # (P - 1)(F + B)
    assert bubble_s("1f1b", 4, 8, 1, 1, 1) == 3 * (1 + 2)
    assert bubble_s("interleaved-1f1b", 4, 8, 1, 1, 1) == 3 * (1 + 2) / 2
    assert bubble_s("zb-h1", 4, 8, 1, 1, 1) == 3 * (1 + 1 - 1)  # a third of 1F1B's
    assert bubble_s("zb-h2", 4, 8, 1, 1, 1) == 3 * 1
    assert bubble_s("zb-v", 4, 8, 1, 1, 1) == 3 * 0.5  # (P - 1) F of the chunk
    assert bubble_s("dualpipe", 8, 16, 1, 1, 1) == 3 * (3 + 2 - 3)


@each("seconds", [(1, 1, 1.2), (1, 0.9, 1), (0.8, 1, 0.9)])
def test_zb_h1_is_off_its_closed_form_where_weights_last_longer(seconds):
    step = pipeline_step("zb-h1", Pipeline(6, 12), durations(*seconds))
    assert not step.closed_form.holds
    assert step.bubble_s[0] > step.closed_form.bubble_s + 0.1


def test_dualpipe_stays_below_its_closed_form_in_the_realistic_regime():
    # W <= F <= I and F + I <= FB <= F + B; ranks idle differently
    step = pipeline_step("dualpipe", Pipeline(16, 32), durations(1, 1.1, 0.7, fb_s=2.4))
    assert not step.closed_form.holds
    assert max(step.bubble_s) <= step.closed_form.bubble_s
    assert len({round(bubble, 6) for bubble in step.bubble_s}) > 1


def test_sends_void_a_closed_form():
    step = pipeline_step("gpipe", Pipeline(4, 8), send_s=0.1)
    assert not step.closed_form.holds
    assert step.bubble_s[0] == pytest.approx(9 + 2 * 3 * 0.1)  # down the ranks and up


@pytest.mark.slow
@each("name", ["zb-h2", "zb-v"])
@each("num_ranks", [1, 2, 3, 4, 7, 8, 16])
@each("extra", [0, 1, 9])
def test_zero_bubble_schedules_never_idle_between_first_and_last(
    name, num_ranks, extra
):
    pipeline = Pipeline(num_ranks, 2 * num_ranks + extra)
    step = pipeline_step(name, pipeline, durations(0.3, 0.3, 0.3))
    assert set(step.inner_bubble_s) == {0}
    chunk_s = 0.3 if name == "zb-h2" else 0.15
    assert step.bubble_s == pytest.approx([(num_ranks - 1) * chunk_s] * num_ranks)


@pytest.mark.slow
@each("num_ranks", range(2, 17))
def test_v_half_idles_half_of_1f1b_and_v_min_two_thirds(num_ranks):
    # Qi et al. NeurIPS 2024, figure 1 and table 1: F = I = W
    n = 2 * num_ranks
    one_f_one_b = bubble_s("1f1b", num_ranks, n)
    assert one_f_one_b / 12 < bubble_s("v-half", num_ranks, n) <= one_f_one_b / 2
    assert one_f_one_b / 3 < bubble_s("v-min", num_ranks, n) <= one_f_one_b * 2 / 3


@pytest.mark.slow
@each(
    ("num_ranks", "v_half", "v_min"),
    [(3, 5, 5), (4, 5, 11), (6, 11, 17), (8, 17, 27), (9, 23, 29), (16, 41, 59)],
)
def test_v_half_and_v_min_idle_as_in_their_authors_code(num_ranks, v_half, v_min):
    # sail-sg/zero-bubble-pipeline-parallelism, zbv_greedy.py run for F = I = W = 1
    n = 3 * num_ranks
    assert bubble_s("v-half", num_ranks, n, 2, 2, 2) == v_half
    assert bubble_s("v-min", num_ranks, n, 2, 2, 2) == v_min


def test_v_half_has_no_steady_idle_time_in_its_regime():
    # W + 2I >= 2F and W + 2F >= 2I: then more micro-batches bring no more bubble
    few, many = (bubble_s("v-half", 8, n, 1, 1.3, 0.9) for n in (24, 72))
    assert many == pytest.approx(few)
    few, many = (bubble_s("v-half", 8, n, 1, 2.5, 0.9) for n in (24, 72))
    assert many > few * 2


@each("bad", [(-1.0,), (float("nan"),), (1, float("inf")), (0, 0, 0)])
def test_durations_are_finite_and_some_are_positive(bad):
    with pytest.raises(InputError, match="durations are"):
        durations(*bad)
