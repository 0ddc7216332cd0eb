"""RDS+ equals its definition."""

import numpy as np
import pytest
from support import baseline_reference as naive

import skmm_fast as skmm
from skmm_fast.methods import rds

DTYPES = (np.float32, np.float64)


def features(rows, seed=0, dtype=np.float64, m=5):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((rows, m)) * rng.exponential(size=(rows, 1)) + 0.2).astype(dtype)


def chosen(Z, n, target, **options):
    options = {"sketch_dim": Z.shape[1], **options}
    return skmm.select(Z, n, method="rds", target=target, **options).indices.tolist()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", [(1,), (7,), (90,), (3, 1, 8)])
@pytest.mark.parametrize("n", [1, 5, 30, 79])
def test_equals_its_definition(sizes, n, dtype):
    Z, tasks = features(80, 0, dtype), [features(T, T, dtype) for T in sizes]
    assert chosen(Z, n, tasks if len(tasks) > 1 else tasks[0]) == sorted(naive.rds(Z, tasks, n))


@pytest.mark.parametrize("size", [1, 3, 40])
def test_short_lists_and_few_similarities_at_a_time_change_nothing(monkeypatch, size):
    Z, y = features(60), np.arange(60) % 3
    tasks = [np.repeat(features(2, 1), 4, axis=0), features(size, 2)]  # of one mind
    for options in ({}, {"y": y, "per_class": "balanced", "include": [3], "exclude": [7, 8]}):
        expected = chosen(Z, 31, tasks, **options)
        for few in (1, 20, 200):
            with monkeypatch.context() as patch:
                patch.setattr(rds, "LISTED", few)
                patch.setattr(rds, "TOGETHER", few)
                assert chosen(Z, 31, tasks, **options) == expected


def test_full_classes_are_passed_over():
    Z, y, target = features(60), np.arange(60) // 20, features(4, 1)
    counts = {0: 3, 1: 9, 2: 0}

    def open_to(rows, i):
        return i != 5 and sum(y[row] == y[i] for row in rows) < counts[y[i]]

    found = chosen(Z, 12, target, y=y, per_class=counts, exclude=[5])
    assert found == sorted(naive.rds(Z, [target], 12, open_to))


def test_rows_of_include_are_taken_before_the_first_turn():
    Z, target = features(60), features(4, 1)
    nearest = naive.rds(Z, [target], 3)
    others = naive.rds(Z, [target], 9, lambda rows, i: i not in (nearest[0], 50))
    found = chosen(Z, 11, target, include=[nearest[0], 50])
    assert found == sorted([nearest[0], 50, *others])


def test_ties_go_to_the_lowest_row():
    Z = np.tile(features(10), (6, 1)) * 2.0 ** np.repeat(np.arange(6), 10)[:, None]
    target = Z[[4, 17]]
    assert chosen(Z, 8, target) == [4, 7, 14, 17, 24, 27, 34, 37]


def test_rows_of_zeros():
    """Those of the pool are at right angles to all; those of the target have no turn."""
    Z = np.vstack([np.zeros((2, 5)), features(20), -5 * np.ones((1, 5))])
    target = np.vstack([np.zeros((3, 5)), np.ones((1, 5))])
    assert chosen(Z, 6, target) == chosen(Z, 6, target[3:])
    order = naive.rds(Z, [target[3:]], 23)
    assert sorted(order[:22]) == chosen(Z, 22, target)
    assert order[22] == 22


def test_features_are_sketched_as_x():
    wide, target = features(60, 0, np.float32, 300), features(4, 1, np.float32, 300)
    S = skmm.SparseSign(300, 16, seed=5)
    found = chosen(wide, 20, target, sketch_dim=16, seed=5)
    assert found == sorted(naive.rds(S.apply(wide), [S.apply(target)], 20))


@pytest.mark.parametrize("exponent", [-90, 90, 120])
def test_scale_does_not_matter(exponent):
    Z, target = features(50, 0, np.float32), features(5, 1, np.float32)
    assert chosen(Z * np.float32(2.0**exponent), 9, target) == chosen(Z, 9, target)
    assert chosen(Z, 9, target * np.float32(2.0**exponent)) == chosen(Z, 9, target)
