"""The figures of a selection against their definitions."""

import numpy as np
import pytest
from support.reference import second_moment, v_optimality

import skmm_fast as skmm


def test_figures_by_their_definitions():
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((300, 5)) * [3, 2, 1, 0.5, 0.1]
    S = rng.choice(300, 40, replace=False)
    d = skmm.diagnose(Z, S, n_random=5, seed=3)
    sigma, sigma_S = second_moment(Z), second_moment(Z[S])
    product = sigma @ np.linalg.inv(sigma_S)
    assert d.v_optimality == pytest.approx(v_optimality(Z, S))
    assert d.c_s == pytest.approx(np.linalg.eigvals(product).real.max())
    assert d.spectral == pytest.approx(np.linalg.norm(product, 2))
    assert d.moment_error == pytest.approx(np.linalg.norm(sigma_S - sigma) / np.linalg.norm(sigma))
    assert d.random_v_optimality.shape == (5,)
    assert len(set(d.random_v_optimality)) == 5
    assert d.lower_bound <= d.v_optimality
    assert (d.n, d.n_samples, d.rank) == (40, 300, 5)
    assert np.linalg.eigvalsh(d.c_s * sigma_S - sigma).min() > -1e-9  # Σ̃ ⪯ c_S Σ̃_S
    assert "certified lower bound" in str(d)
    assert d.suggested_sketch_dim == 11 * d.intrinsic_dim


def test_the_order_of_indices_does_not_matter():
    Z = np.random.default_rng(0).standard_normal((50, 3))
    a, b = (skmm.diagnose(Z, rows, n_random=2) for rows in ([3, 1, 2, 9], [1, 2, 3, 9]))
    assert a.v_optimality == b.v_optimality


def test_a_selection_that_does_not_span_is_infinitely_bad():
    Z = np.random.default_rng(0).standard_normal((50, 6))
    Z[:10, 0] = 0
    for rows in ([0, 1, 2], np.arange(10)):
        d = skmm.diagnose(Z, rows, n_random=2)
        assert d.v_optimality == d.c_s == d.spectral == np.inf
        assert np.isfinite(d.moment_error)
        assert d.warnings


def test_warnings():
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((200, 4))
    worst = np.argsort((Z**2).sum(axis=1))[:20]
    assert any("no better than uniform" in w for w in skmm.diagnose(Z, worst).warnings)
    best = skmm.v_optimal(Z, 20).indices
    assert not any("no better" in w for w in skmm.diagnose(Z, best).warnings)
    assert not skmm.diagnose(Z, best).warnings  # a user cannot do anything about m < 11 r̄
    assert "suggests m >= " in str(skmm.diagnose(Z, best))


def test_rows_of_large_norm_are_pointed_out():
    """An error as the factor of each row, as with a squared loss and labels."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((400, 4))
    Z = X * rng.standard_t(3, (400, 1))
    large = np.sort(np.argsort((Z**2).sum(axis=1))[-30:])
    share = (Z[large] ** 2).sum(axis=1).mean() / (Z**2).sum(axis=1).mean()
    said = [w for w in skmm.diagnose(Z, large).warnings if "mean squared norm" in w]
    assert len(said) == 1
    assert f"have {share:.3g} x" in said[0]
    chosen = skmm.v_optimal(X, 30).indices
    assert not any("squared norm" in w for w in skmm.diagnose(X, chosen).warnings)


def test_all_rows():
    Z = np.random.default_rng(0).standard_normal((30, 4))
    d = skmm.diagnose(Z, np.arange(30))
    assert d.v_optimality == pytest.approx(4)
    assert d.lower_bound == pytest.approx(4)
    assert d.c_s == pytest.approx(1)
    assert d.moment_error == pytest.approx(0, abs=1e-12)
