"""bench/paper/gmm.py: the data of table 1, both risks, herding that takes the farthest row."""

import numpy as np
import pytest

pytest.importorskip("torch")
linear_model = pytest.importorskip("sklearn.linear_model")
model_selection = pytest.importorskip("sklearn.model_selection")
pytest.importorskip("matplotlib")

from mixture import gmm
from paper.gmm import farthest
from paper.ridge import ALPHAS, TOL, Ridge, cross_validated, least
from paper.table1 import PUBLISHED


def small():
    return gmm(3, std_max=0.3, n_rows=60, r=80, clusters=4)


def test_data():
    G, y, cluster = gmm()
    assert G.shape == (2000, 2400)
    assert np.bincount(cluster).tolist() == [82, 69, 389, 76, 406, 251, 427, 300]  # frozen
    for k in range(8):
        centre = G[cluster == k].mean(0)
        mu = round(centre[k] / 8) * 8
        assert mu in range(8, 65, 8)
        rows = G[cluster == k] - mu * np.eye(1, 2400, k)
        assert abs(rows.mean()) < 1e-3  # isotropic noise around μ_k e_k
        assert rows.std() < 0.04
        assert len(set(y[cluster == k])) == 1
    assert gmm(1, std_max=0.0, n_rows=50, r=10, clusters=3).G.astype(bool).sum() == 50


def test_the_published_data_are_these():
    """Herding that takes the farthest row finds one cluster, and the mean square of the labels of
    the others is what table 1 gives for it."""
    y, cluster = gmm()[1:]
    assert np.square(y[cluster != 7]).sum() / 2000 == pytest.approx(PUBLISHED["Herding"][0], abs=1)


def test_exact_risk_is_that_of_the_normal_equations():
    G, y, _ = small()
    S = np.random.default_rng(0).permutation(60)[:25]
    fit = Ridge(G @ G.T, y, S)
    risks = []
    for alpha in ALPHAS:
        theta = np.linalg.solve(G[S].T @ G[S] + alpha * np.eye(80), G[S].T @ y[S])
        risks.append(np.square(G @ theta - y).mean())
    np.testing.assert_allclose(fit.risks(fit.exact()), risks, rtol=1e-5)
    assert least(fit) == pytest.approx(min(risks), rel=1e-5)
    np.testing.assert_allclose(np.diff(np.log10(ALPHAS)), 0.5)


def test_published_risk_is_that_of_grid_search_with_lsqr():
    G, y, _ = small()
    for seed in range(3):
        S = np.random.default_rng(seed).permutation(60)[:25]
        model = linear_model.Ridge(solver="lsqr", tol=TOL, fit_intercept=False)
        search = model_selection.GridSearchCV(
            model, {"alpha": ALPHAS}, cv=2, scoring="neg_mean_squared_error"
        ).fit(G[S], y[S])
        # LSQR that stops at TOL has scores that agree to 1% between BLAS kernels.
        scores = search.cv_results_["mean_test_score"]
        fits = [model.set_params(alpha=alpha).fit(G[S], y[S]).predict(G) for alpha in ALPHAS]
        theirs, ours = np.square(np.array(fits) - y).mean(1), Ridge(G @ G.T, y, S)
        np.testing.assert_allclose(ours.risks(ours.stopped()), theirs, rtol=1e-3)
        best = theirs[scores >= 1.01 * scores.max()]
        assert np.abs(best / cross_validated(ours) - 1).min() < 1e-3


def test_farthest_is_herding_with_argmax():
    G = small().G
    chosen: list[int] = []
    for t in range(7):
        gap = (t + 1) * G.mean(0) - G[chosen].sum(0)
        distances = np.linalg.norm(gap - G, axis=1)
        distances[chosen] = -1
        chosen.append(int(distances.argmax()))
    assert farthest(G, 7, seed=0).tolist() == chosen
    assert farthest(G[:, :1], 7, seed=0, gram=G @ G.T).tolist() == chosen
