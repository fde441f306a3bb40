from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from nas.seeds import derive, generator

GOLDEN = (9147118340376974718, 8488089460105449394)


def test_seeds_are_the_same_for_ever():
    assert derive(0, "trial", 0) == GOLDEN[0]
    assert derive(7, "strategy", 12) == GOLDEN[1]
    assert generator(7, "strategy", 12).random() == random.Random(GOLDEN[1]).random()


@given(st.integers(-(2**70), 2**70), st.text(), st.integers(0, 10**9))
def test_a_seed_fits_a_signed_64_bit_integer(seed, purpose, counter):
    assert 0 <= derive(seed, purpose, counter) < 2**63


def test_seed_purpose_and_counter_all_count():
    seeds = {
        derive(seed, purpose, counter)
        for seed in range(10)
        for purpose in ("a", "b", "a:1", "")
        for counter in range(50)
    }
    assert len(seeds) == 10 * 4 * 50


def test_the_global_generator_is_left_alone():
    random.seed(5)
    expected = random.Random(5).random()
    generator(1, "trial").random()
    assert random.random() == expected
