"""LESS equals its definition."""

import numpy as np
import pytest
import scipy.sparse as sp
from support import baseline_reference as naive

import skmm_fast as skmm

N, M = 80, 6
DTYPES = (np.float32, np.float64)


def gradients(rows, seed, dtype=np.float64, m=M):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((rows, m)) * rng.exponential(size=(rows, 1)) + 0.2).astype(dtype)


def chosen(n, X, target, **options):
    return skmm.select(X, n, method="less", sketch_dim=X.shape[1], target=target, **options).indices


def check(scores, *arguments, **options):
    """Whatever n, the scores chosen are the n largest."""
    for n in (1, 7, 40, N):
        found = np.sort(scores[chosen(n, *arguments, **options)])
        np.testing.assert_allclose(found, np.sort(scores)[-n:], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", [(9,), (5, 1, 12)])
def test_one_checkpoint(sizes, dtype):
    Z, tasks = gradients(N, 0, dtype), [gradients(T, T, dtype) for T in sizes]
    check(naive.less([Z], [tasks], [1]), Z, tasks if len(tasks) > 1 else tasks[0])


@pytest.mark.parametrize("rates", [None, [3.0, 1, 0.5], np.array([1e-5, 2e-5, 1e-6])])
@pytest.mark.parametrize("sizes", [(9,), (5, 12)])
def test_several_checkpoints(sizes, rates):
    pools = [gradients(N, k) for k in range(3)]
    tasks = [[gradients(T, 10 * k + T) for T in sizes] for k in range(3)]
    scores = naive.less(pools, tasks, [1 / 3] * 3 if rates is None else rates / np.sum(rates))
    if len(sizes) == 1:
        tasks = [one for (one,) in tasks]
    check(
        scores, pools[0], tasks[0], checkpoints=pools[1:], target_checkpoints=tuple(tasks[1:]),
        learning_rates=rates,
    )  # fmt: skip
    once = chosen(20, pools[0], tasks[0])
    assert not np.array_equal(
        once,
        chosen(20, pools[0], tasks[0], checkpoints=pools[1:], target_checkpoints=tasks[1:]),
    )


def test_norms_of_rows_do_not_matter():
    Z, V = gradients(N, 0), gradients(5, 1)
    scales = 2.0 ** np.random.default_rng(0).integers(-40, 40, (N, 1))
    assert np.array_equal(chosen(20, Z * scales, V), chosen(20, Z, V))


def test_checkpoints_are_sketched_as_x():
    pools = [gradients(N, k, np.float32, 300) for k in range(2)]
    tasks = [gradients(5, 7 + k, np.float32, 300) for k in range(2)]
    S = skmm.SparseSign(300, 16, seed=5)

    def rows(pools, tasks):
        return skmm.select(
            pools[0], 20, method="less", sketch_dim=16, seed=5, target=tasks[0],
            checkpoints=pools[1:], target_checkpoints=tasks[1:],
        ).indices  # fmt: skip

    expected = rows([S.apply(Z) for Z in pools], [S.apply(V) for V in tasks])
    assert np.array_equal(rows(pools, tasks), expected)
    assert np.array_equal(rows([pools[0], sp.csr_array(pools[1])], tasks), expected)


def test_ties_are_drawn_by_seed():
    """Rows along the target, of any norm, and rows of zeros come in any order."""
    Z = np.repeat([[2.0, 0], [0, 0], [-1, 0]], 30, axis=0) * np.repeat([[1.0], [2.0]], 45, axis=0)
    target = np.array([[1.0, 3], [1, -3]])
    draws = [chosen(10, Z, target, seed=seed) for seed in range(30)]
    assert all(draw.max() < 30 for draw in draws)
    assert len({tuple(draw) for draw in draws}) > 25
    zeros = [chosen(40, Z, target, seed=seed) for seed in range(30)]
    assert all(draw[29] == 29 and draw.max() < 60 for draw in zeros)
    assert len({tuple(draw) for draw in zeros}) > 25


A, V = gradients(N, 0), gradients(5, 1)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"checkpoints": A}, "checkpoints"),
        ({"checkpoints": [A]}, "target_checkpoints"),
        ({"target_checkpoints": [V]}, "target_checkpoints"),
        ({"checkpoints": [A[1:]], "target_checkpoints": [V]}, r"checkpoints\[0\]"),
        ({"checkpoints": [A, A[:, 1:].copy()], "target_checkpoints": [V, V]}, r"checkpoints\[1\]"),
        ({"checkpoints": [A], "target_checkpoints": [[V, V]]}, r"target_checkpoints\[0\]"),
        ({"checkpoints": [A], "target_checkpoints": [None]}, r"target_checkpoints\[0\]"),
        ({"checkpoints": [A], "target_checkpoints": [[V[:, 1:].copy()]]},
         r"target_checkpoints\[0\]\[0\]"),
        ({"learning_rates": [1.0, 2.0]}, "learning_rates"),
        ({"learning_rates": [0.0]}, "learning_rates"),
        ({"learning_rates": [np.nan]}, "learning_rates"),
        ({"learning_rates": ["high"]}, "learning_rates"),
        ({"rates": [1.0]}, "rates"),
    ],
)  # fmt: skip
def test_errors_name_the_argument(options, name):
    with pytest.raises((TypeError, ValueError), match=rf"^{name}: expected "):
        chosen(20, A, V, **options)


def test_an_error_comes_before_anything_is_sketched(monkeypatch):
    monkeypatch.setattr(skmm.SparseSign, "_apply", lambda *_a, **_k: pytest.fail("sketched"))
    wide, few = gradients(N, 0, m=300), gradients(5, 1, m=300)
    for rows in (wide[1:], wide[:, 1:].copy()):
        with pytest.raises(ValueError, match=r"^checkpoints\[1\]: expected 80 rows of 300"):
            skmm.select(
                wide, 20, method="less", target=few, checkpoints=[wide, rows],
                target_checkpoints=[few, few],
            )  # fmt: skip
