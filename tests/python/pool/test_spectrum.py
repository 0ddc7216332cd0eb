"""The spectrum of the second moment."""

import numpy as np
import pytest
from support.reference import second_moment

import skmm_fast as skmm


def test_moments():
    Z = np.random.default_rng(2).standard_normal((200, 6)) * 2.0 ** -np.arange(6)
    mom = skmm.moments(Z)
    V, lam = mom.eigenvectors, mom.eigenvalues
    np.testing.assert_allclose(V @ np.diag(lam) @ V.T, second_moment(Z), atol=1e-12)
    assert np.all(np.diff(lam) <= 0)
    assert (mom.rank, mom.n_samples) == (6, 200)
    tails = [lam[t:].sum() for t in range(7)]
    assert mom.intrinsic_dim == next(t for t in range(7) if tails[t] <= lam.sum() / 200)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1.0, 1e30, 1e-30])
def test_rank_and_scale(dtype, scale):
    rng = np.random.default_rng(0)
    low = (rng.standard_normal((300, 7)) @ rng.standard_normal((7, 20)) * scale).astype(dtype)
    assert skmm.moments(low).rank == 7
    assert skmm.moments(np.vstack([low[:4]] * 3)).rank == 4
    fit = skmm.match_moments(low, 30, c_s=0.8, max_iter=300)
    unit = skmm.match_moments((low.astype(float) / scale).astype(dtype), 30, c_s=0.8, max_iter=300)
    assert np.isfinite(fit.objective)
    assert fit.objective / scale**4 == pytest.approx(unit.objective, rel=0.05, abs=1e-3)


def test_signs_of_eigenvectors():
    """They do not hang on those that LAPACK returns."""
    V = skmm.moments(np.random.default_rng(3).standard_normal((50, 9))).eigenvectors
    for v in V.T:
        assert next(x for x in v if abs(x) > 0.618 * abs(v).max()) > 0
