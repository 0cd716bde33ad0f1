"""The parts of a change by factors: exact, without an order, adding up."""

from itertools import permutations
from math import factorial, prod

import numpy as np
import pytest

from llmobs_nb.stats.shapley import shapley


def product(at):
    return prod(at.values())


def by_orders(old, new, value):
    """The definition: let the factors move one after the other, in every order, and take the mean of what each adds."""
    out = dict.fromkeys(old, 0.0)
    for order in permutations(old):
        state = dict(old)
        for name in order:
            before = value(state)
            state[name] = new[name]
            out[name] = out[name] + (value(state) - before) / factorial(len(old))
    return out


def test_two_factors_share_what_they_do_together_equally():
    parts = shapley({"price": 2.0, "calls": 3.0}, {"price": 4.0, "calls": 5.0}, product)
    assert parts["price"] == pytest.approx(2 * (3 + 5) / 2)
    assert parts["calls"] == pytest.approx(2 * (2 + 4) / 2)


def test_three_factors_by_hand():
    # abc from 1·1·1 to 2·3·1: c does not move; of the 5, a has (1 + 3) / 2 and b has 2 (1 + 2) / 2.
    parts = shapley({"a": 1, "b": 1, "c": 1}, {"a": 2, "b": 3, "c": 1}, product)
    assert [float(parts[k]) for k in "abc"] == pytest.approx([2, 3, 0])


@pytest.mark.parametrize("k", [1, 2, 3, 5, 6])
def test_it_is_the_mean_over_all_orders(k):
    rng = np.random.default_rng(k)
    names = [f"f{i}" for i in range(k)]
    old, new = ({n: rng.normal(1, 1, 4) for n in names} for _ in range(2))

    def odd(at):
        return product(at) + np.exp(-(at["f0"] ** 2)) * sum(np.maximum(v, 0) for v in at.values())

    parts, slow = shapley(old, new, odd), by_orders(old, new, odd)
    for name in names:
        assert parts[name] == pytest.approx(slow[name], rel=1e-9, abs=1e-12)
    assert sum(parts.values()) == pytest.approx(odd(new) - odd(old), rel=1e-12, abs=1e-12)


def test_the_order_of_the_factors_changes_nothing_and_alike_factors_get_alike_parts():
    old, new = {"a": 2.0, "b": 2.0, "c": 7.0}, {"a": 3.0, "b": 3.0, "c": 1.0}
    one, other = shapley(old, new, product), shapley(dict(reversed(old.items())), dict(reversed(new.items())), product)
    assert one["a"] == pytest.approx(one["b"])
    assert {k: float(v) for k, v in other.items()} == pytest.approx({k: float(v) for k, v in one.items()})


def test_back_again_is_the_same_with_the_other_sign():
    old, new = {"a": 2.0, "b": 3.0, "c": 7.0}, {"a": 5.0, "b": 3.0, "c": 1.0}
    there, back = shapley(old, new, product), shapley(new, old, product)
    assert all(float(there[k]) == pytest.approx(-float(back[k])) for k in old)
    assert there["b"] == 0


def test_cells_are_split_one_by_one():
    old, new = {"n": np.array([1.0, 0.0]), "p": np.array([2.0, 5.0])}, {"n": np.array([3.0, 4.0]), "p": np.array([2.0, 5.0])}
    parts = shapley(old, new, product)
    assert parts["n"].tolist() == [4.0, 20.0]
    assert parts["p"].tolist() == [0.0, 0.0]


def test_a_factor_may_be_more_than_one_number():
    parts = shapley({"a": (1.0, 2.0), "b": 3.0}, {"a": (2.0, 2.0), "b": 3.0}, lambda at: (at["a"][0] + at["a"][1]) * at["b"])
    assert float(parts["a"]) == 3.0


def test_factors_that_differ_or_are_none_or_too_many_are_refused():
    with pytest.raises(ValueError, match="factors differ: a before, b after"):
        shapley({"a": 1}, {"b": 1}, product)
    with pytest.raises(ValueError, match="0 factors: give 1 to 16"):
        shapley({}, {}, product)
    many = {f"f{i}": 1 for i in range(17)}
    with pytest.raises(ValueError, match="17 factors: give 1 to 16"):
        shapley(many, many, product)
