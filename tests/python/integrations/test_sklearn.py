"""scikit-learn's own checks, and what the estimators return."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp

sklearn = pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

import skmm_fast as skmm
from skmm_fast.integrations.sklearn import (
    GaussianSketch,
    GroupedSignProjection,
    SkMMSelector,
    SparseSignProjection,
)

RNG = np.random.default_rng(0)
X, y = RNG.standard_normal((120, 20)), np.arange(120) % 3
PROJECTIONS = {
    SparseSignProjection: skmm.SparseSign,
    GroupedSignProjection: skmm.GroupedSign,
    GaussianSketch: skmm.Gaussian,
}
ESTIMATORS = [SkMMSelector(), *(projection() for projection in PROJECTIONS)]
NARROW = [projection(8) for projection in PROJECTIONS]


@parametrize_with_checks([*ESTIMATORS, *NARROW])
@pytest.mark.filterwarnings("ignore")
def test_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.parametrize(("projection", "family"), PROJECTIONS.items())
def test_projections_are_sketches(projection, family):
    expected = family(20, 8, seed=5).apply(X)
    for rows in (X, np.asfortranarray(X), X.astype(">f8"), X.tolist()):
        assert np.array_equal(projection(8, random_state=5).fit_transform(rows), expected)
    for form in (sp.csr_array, sp.csc_array, sp.coo_array):
        found = projection(8, random_state=5, n_jobs=2).fit_transform(form(X))
        np.testing.assert_allclose(found, expected, atol=1e-12)
    wide = sp.csr_array(X)
    wide.indices, wide.indptr = wide.indices.astype(np.int64), wide.indptr.astype(np.int64)
    np.testing.assert_allclose(
        projection(8, random_state=5).fit_transform(wide), expected, atol=1e-12
    )
    assert projection(8).fit(X).transform(X[:1].astype(np.float32)).dtype == np.float32
    again = pickle.loads(pickle.dumps(projection(8, random_state=5).fit(X)))
    assert np.array_equal(again.transform(X), expected)


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_rows_that_are_narrow_enough_stay(projection):
    for width in (20, 21, 512):
        made = projection(width).fit(X)
        assert made.n_components_ == 20
        assert np.array_equal(made.transform(X), X)
        assert np.array_equal(made.transform(sp.csr_array(X)), X)


def test_names_and_frames():
    pd, pl = pytest.importorskip("pandas"), pytest.importorskip("polars")
    made = SparseSignProjection(8, random_state=0).fit(X)
    names = [f"sparsesignprojection{i}" for i in range(8)]
    assert made.get_feature_names_out().tolist() == names
    frame = pd.DataFrame(X, index=range(7, 127), columns=[f"f{i}" for i in range(20)])
    made = SparseSignProjection(8, random_state=0).set_output(transform="pandas")
    found = made.fit_transform(frame)
    assert found.columns.tolist() == names
    assert found.index.equals(frame.index)
    assert isinstance(made.set_output(transform="polars").transform(frame), pl.DataFrame)
    with pytest.raises(ValueError, match="feature names should match"):
        made.transform(frame[frame.columns[::-1]])


def test_random_states():
    states = (3, np.int64(3), 4, np.random.RandomState(3), np.random.RandomState(3))
    made = [GaussianSketch(8, random_state=state).fit_transform(X) for state in states]
    assert np.array_equal(made[0], made[1])
    assert not np.array_equal(made[0], made[2])
    assert np.array_equal(made[3], made[4])
    drawn = [GaussianSketch(8).fit_transform(X) for _ in range(2)]
    assert not np.array_equal(*drawn)
    with pytest.raises(ValueError, match="random_state"):
        GaussianSketch(8, random_state=-1).fit(X)


def test_few_grouped_signs_have_no_bias():
    """Neither where there are fewer features than the family needs columns."""
    for width, rows in ((3, X), (1, X[:, :2]), (3, X[:, :7])):
        error, norms = 0.0, np.square(rows).sum(axis=1)
        for seed in range(300):
            Z = GroupedSignProjection(width, random_state=seed).fit_transform(rows)
            assert Z.shape == (120, width)
            assert Z.flags.c_contiguous
            error += (np.square(Z).sum(axis=1) / norms - 1).mean() / 300
        assert abs(error) < 0.05


@pytest.mark.parametrize("n_components", [0, -1, 2.5, "auto"])
def test_wrong_widths(n_components):
    with pytest.raises((TypeError, ValueError), match=r"n_components|out_dim"):
        GroupedSignProjection(n_components).fit(X)


def test_the_selector_is_select():
    for options in ({}, {"method": "v-optimal", "unit_rows": True}, {"per_class": "balanced"},
                    {"method": "moment-matching", "method_options": {"draw": "top"}}):  # fmt: skip
        made = SkMMSelector(12, random_state=4, n_jobs=2, **options).fit(X, y)
        more = options.pop("method_options", {})
        expected = skmm.select(X, 12, seed=4, y=y, **options, **more)
        assert np.array_equal(made.selected_idx_, expected.indices)
        assert np.array_equal(made.weights_, expected.weights)
        assert made.selection_.diagnosis.verdict == expected.diagnosis.verdict
        assert clone(made).get_params() == made.get_params()
    share = SkMMSelector(random_state=0).fit(sp.csr_array(X))
    assert np.array_equal(share.selected_idx_, skmm.select(sp.csr_array(X), 0.1).indices)


def test_resampled_data_are_of_their_types():
    pd = pytest.importorskip("pandas")
    frame, labels = pd.DataFrame(X).add_prefix("f"), pd.Series(y, index=range(120))
    selector = SkMMSelector(12, random_state=0)
    chosen, of = selector.fit_resample(frame, labels)
    assert chosen.equals(frame.iloc[selector.selected_idx_])
    assert of.tolist() == y[selector.selected_idx_].tolist()
    assert np.array_equal(selector.fit_resample(X), X[selector.selected_idx_])
    assert sp.issparse(selector.fit_resample(sp.csr_array(X), y)[0])


def test_pipelines():
    found = make_pipeline(SparseSignProjection(8, random_state=0), LogisticRegression()).fit(X, y)
    assert found.predict(X).shape == (120,)
    imblearn = pytest.importorskip("imblearn.pipeline")
    found = imblearn.make_pipeline(SkMMSelector(30, random_state=0), LogisticRegression())
    found.fit(X, y)
    rows = found[0].selected_idx_
    assert len(rows) == 30
    assert np.array_equal(found.predict(X), LogisticRegression().fit(X[rows], y[rows]).predict(X))
