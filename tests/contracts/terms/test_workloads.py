"""What a kind of work needs: published figures, and laws that hold for every size."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.terms.workloads import GB_EACH_MAX, HOURS_MAX, MILLIONS_MAX, REFERENCE_TFLOPS, WORKLOADS, needs

SIZES = st.integers(1, MILLIONS_MAX)
NAMES = st.sampled_from(sorted(WORKLOADS))


@pytest.mark.parametrize(
    ("name", "billions", "published_gb"),
    [
        ("adapters", 7, 16), ("adapters", 13, 32), ("adapters", 70, 160),
        ("tuning", 7, 120), ("tuning", 13, 240), ("tuning", 70, 1200),
        ("serving", 7, 16.8), ("serving", 70, 168),
    ],
)  # fmt: skip
def test_memory_is_what_others_measured(name, billions, published_gb):
    """The tables of LLaMA-Factory (adapters in 16 bit, all weights in mixed precision), and 1.2 × 2 bytes to serve: within a fifth."""
    assert needs(WORKLOADS[name], billions * 1000).memory_gb == pytest.approx(published_gb, rel=0.2)


def test_training_a_model_of_a_billion_takes_its_twenty_billion_tokens():
    """6 × 10⁹ × 20·10⁹ operations at 40 % of 989·10¹² a second: 303,336 s, 84.3 hours."""
    assert pytest.approx(303_336, rel=1e-5) == 6 * 10**9 * 20 * 10**9 / (0.4 * REFERENCE_TFLOPS * 10**12)
    assert needs(WORKLOADS["training"], 1000).hours == 85


@given(NAMES, SIZES)
def test_the_holders_hold_it_and_the_accelerators_are_done_within_a_week(name, millions):
    found = needs(WORKLOADS[name], millions)
    assert found.holders * found.memory_each_gb >= found.memory_gb
    assert found.memory_each_gb <= GB_EACH_MAX
    assert found.accelerators % found.holders == 0
    assert 1 <= found.hours <= HOURS_MAX
    assert found.accelerators <= 1_000_000


@given(NAMES, SIZES, SIZES)
def test_a_larger_model_never_needs_less(name, one, other):
    small, large = (needs(WORKLOADS[name], each) for each in sorted((one, other)))
    assert small.memory_gb <= large.memory_gb
    assert small.accelerators <= large.accelerators
    # Each rounds its hours up, by less than one an accelerator.
    assert (small.hours - 1) * small.accelerators < large.hours * large.accelerators


@pytest.mark.parametrize("millions", [0, -1, MILLIONS_MAX + 1])
def test_a_model_nobody_has_is_refused(millions):
    with pytest.raises(ValueError, match="million parameters"):
        needs(WORKLOADS["serving"], millions)
