"""Methods that compare computed scores choose the same rows where scores differ in their last bits,
as they do on another BLAS, processor or device."""

import numpy as np
import pytest

import skmm_fast as skmm
from skmm_fast.methods import groups, less, model_scores
from skmm_fast.pool.host_rows import HostRowMatrix

N, M = 600, 6
ULPS = 8


def pool():
    """Rows of which many have equal scores: copies, and copies with columns swapped or negative."""
    rng = np.random.default_rng(0)
    few = rng.standard_normal((N // 6, M))
    swapped = few[:, ::-1]
    rows = np.concatenate([few, few, swapped, -few, -swapped, few[::-1]])
    rows[:40, 1:] = 0  # along one direction only
    return np.ascontiguousarray(rows)


Z = pool()
P = np.abs(Z[:, :4]) + 0.1
P /= P.sum(axis=1, keepdims=True)
CASES = {
    "t-leverage": {},
    "r-leverage": {},
    "grand": {},
    "entropy": {"probs": P},
    "margin": {"probs": P},
    "least-confidence": {"probs": P},
    "el2n": {"probs": P, "y": np.arange(N) % 4},
    "deepfool": {"logits": np.log(P), "head": np.eye(4)},
    "forgetting": {"record": np.random.default_rng(1).random((4, N)) < 0.5},
    "less": {"target": Z[:3] + Z[3:6]},
    "rds": {"target": Z[:3] + Z[3:6]},
}


def disturb(patch, seed):
    """Changes products and scores by up to ULPS units of their last places."""
    rng = np.random.default_rng(seed)

    def noisy(x):
        return x * (1 + rng.integers(-ULPS, ULPS + 1, x.shape) * np.finfo(np.float64).eps)

    def wrap(place, name, change):
        exact = getattr(place, name)
        patch.setattr(place, name, lambda *given, **more: change(exact(*given, **more)))

    for name in ("row_norms", "dots", "square_dots"):
        wrap(HostRowMatrix, name, noisy)
    wrap(HostRowMatrix, "times", lambda rows: HostRowMatrix(noisy(rows.core)))
    exact = groups.largest_scores
    for place in (model_scores, less):
        patch.setattr(
            place,
            "largest_scores",
            lambda problem, score, **more: exact(problem, noisy(score), **more),
        )


@pytest.mark.parametrize("method", CASES)
def test_the_last_bits_decide_nothing(method, monkeypatch):
    for n in (25, 130):
        options = {"method": method, "diagnose": "fast", "sketch_dim": M, **CASES[method]}
        expected = skmm.select(Z, n, **options).indices
        for seed in range(6):
            with monkeypatch.context() as patch:
                disturb(patch, seed)
                assert np.array_equal(skmm.select(Z, n, **options).indices, expected)


def test_leverage_of_rows_beside_the_directions(monkeypatch):
    """Rows orthogonal to the only direction have score 0 whatever rounding makes of them: all of
    them share what the others leave."""
    rows = np.random.default_rng(0).standard_normal((200, 3)) * [1, 0.1, 0.1]
    rows[10:, 0] = 0
    turned = rows @ np.linalg.qr(np.random.default_rng(1).standard_normal((3, 3)))[0]
    turned[:10] *= 100
    options = {"method": "t-leverage", "rank": 1, "diagnose": "fast"}
    expected = skmm.select(turned, 40, **options).indices
    for seed in range(5):
        with monkeypatch.context() as patch:
            disturb(patch, seed)
            assert np.array_equal(skmm.select(turned, 40, **options).indices, expected)


def test_steady_scores():
    x = np.array([0.0, 1.0, -1.0, 1 / 3, 5e-324, 1e308, np.inf, -np.inf])
    assert np.array_equal(groups.steady(x)[[0, 1, 2, 6, 7]], x[[0, 1, 2, 6, 7]])
    np.testing.assert_allclose(groups.steady(x[:6]), x[:6], rtol=2.0**-30)
    assert np.array_equal(groups.steady(np.array([1e-17, -1e-16, 0.5]), unit=1.0), [0, 0, 0.5])
