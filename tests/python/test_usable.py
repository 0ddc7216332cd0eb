"""Rows that exclude names need not be readable: the selection is that of the pool without them."""

import numpy as np
import pytest
import scipy.sparse as sp

import skmm_fast as skmm

N, n, r = 90, 20, 12
LOST = np.array([3, 40, 41, 89])
OTHERS = [5, 60]  # excluded, and readable
KEPT = np.setdiff1d(np.arange(N), LOST)
EXCLUDE = [*LOST, *OTHERS]
Y = np.arange(N) % 3


def rows(seed=0, value=np.nan):
    X = np.random.default_rng(seed).standard_normal((N, r)).astype(np.float32)
    X[LOST[0]] = value
    X[LOST[1], 4] = value
    X[LOST[2], :2] = np.inf
    X[LOST[3], -1] = -np.inf
    return X


def among_kept(X, **options):
    """What select chooses of the kept rows alone, as rows of all."""
    exclude = np.searchsorted(KEPT, OTHERS)
    return skmm.select(X[KEPT], n, exclude=exclude, **options)


def same(ours, expected):
    assert np.array_equal(ours.indices, KEPT[expected.indices])
    assert np.array_equal(ours.weights, expected.weights)
    assert str(ours.diagnosis) == str(expected.diagnosis)
    assert ours.settings["n_samples"] == N
    assert ours.settings["n_exclude"] == len(EXCLUDE)
    assert len(ours.subset(list(range(N)))) == n


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sketch_dim": 5},
        {"unit_rows": True},
        {"method": "v-optimal"},
        {"method": "moment-matching"},
        {"method": "herding"},
        {"method": "uniform"},
        {"method": "grand"},
        {"method": "less", "target": rows(1)[KEPT[:4]]},
    ],
    ids=str,
)
def test_the_choice_is_that_of_the_other_rows(options):
    X = rows()
    same(skmm.select(X, n, exclude=EXCLUDE, **options), among_kept(X, **options))


def test_labels_and_rows_that_must_be_chosen():
    X = rows()
    for options in ({"per_class": "balanced"}, {"pilot": "linear"}, {}):
        ours = skmm.select(X, n, exclude=EXCLUDE, include=[88, 0], y=Y, **options)
        include = np.searchsorted(KEPT, [0, 88])
        same(ours, among_kept(X, include=include, y=Y[KEPT], **options))
        assert {0, 88} <= set(ours.indices)


@pytest.mark.parametrize("missing", [None, np.nan])
def test_labels_that_excluded_rows_lack(missing):
    X = np.random.default_rng(0).standard_normal((N, r))
    y = Y.astype(object)
    y[LOST] = missing
    options = {"method": "uniform", "per_class": "balanced"}
    ours = skmm.select(X, n, y=y, exclude=EXCLUDE, **options)
    same(ours, among_kept(X, y=Y[KEPT].astype(object), **options))


@pytest.mark.parametrize("method", ["entropy", "margin", "contextual-diversity"])
def test_predictions_of_excluded_rows(method):
    X = np.random.default_rng(0).standard_normal((N, r))
    logits = rows(2)
    ours = skmm.select(X, n, method=method, logits=logits, exclude=EXCLUDE)
    same(ours, among_kept(X, method=method, logits=logits[KEPT]))


def test_other_checkpoints_and_a_record():
    X, target = rows(), rows(1)[KEPT[:4]]
    less = {"method": "less", "target": target, "target_checkpoints": [target + 1]}
    ours = skmm.select(X, n, exclude=EXCLUDE, checkpoints=[rows(3)], **less)
    same(ours, among_kept(X, checkpoints=[rows(3)[KEPT]], **less))
    record = np.random.default_rng(0).random((5, N)) < 0.6
    ours = skmm.select(X, n, method="forgetting", record=record, exclude=EXCLUDE)
    same(ours, among_kept(X, method="forgetting", record=record[:, KEPT]))


def test_a_pilot_and_a_function_of_ones_own():
    X, seen = rows(), []

    def pilot(indices):
        seen.append(indices)
        return X + np.float32(1)

    ours = skmm.select(X, n, pilot=pilot, exclude=EXCLUDE)
    same(ours, among_kept(X, pilot=lambda indices: X[KEPT] + np.float32(1)))
    assert not np.isin(seen[0], EXCLUDE).any()
    assert "pilot" in ours.settings["pilot"]

    def last(Z, n, seed):
        assert np.isfinite(Z).all()
        return np.arange(len(Z))[-n - 2 : -2]

    assert np.array_equal(skmm.select(X, n, method=last, exclude=LOST).indices, KEPT[-n - 2 : -2])


@pytest.mark.parametrize("kind", ["csr", "memmap", "float16", "tensor", "bfloat16"])
def test_wherever_the_rows_lie(tmp_path, kind):
    X, sketched = rows(), {"sketch_dim": 5}
    if kind == "csr":
        given, kept = sp.csr_array(X), sp.csr_array(X[KEPT])
    elif kind == "memmap":
        np.save(tmp_path / "X.npy", X)
        given, kept = np.load(tmp_path / "X.npy", mmap_mode="r"), X[KEPT]
    elif kind == "float16":
        given, kept = X.astype(np.float16), X[KEPT].astype(np.float16)
    else:
        torch = pytest.importorskip("torch")
        given = torch.from_numpy(X)
        given = given.bfloat16() if kind == "bfloat16" else given
        kept = given[KEPT]
    ours = skmm.select(given, n, exclude=EXCLUDE, **sketched)
    expected = skmm.select(kept, n, exclude=np.searchsorted(KEPT, OTHERS), **sketched)
    assert np.array_equal(ours.indices, KEPT[expected.indices])


def test_a_share_is_of_all_rows():
    ours = skmm.select(rows(), 0.5, exclude=EXCLUDE)
    assert len(ours.indices) == N // 2
    assert ours.settings["n"] == 0.5


def test_rows_that_may_be_chosen_must_be_readable():
    X = rows()
    with pytest.raises(ValueError, match=r"X: .* NaN or Inf in 1 of 90 rows, first in row 89"):
        skmm.select(X, n, exclude=LOST[:3])
    y = Y.astype(float)
    y[[3, 7]] = np.nan
    with pytest.raises(ValueError, match=r"y: .* in 1 of 90 rows, first in row 7; exclude"):
        skmm.select(X, n, exclude=LOST, y=y)
    with pytest.raises(ValueError, match="exclude: expected no row of include, got row 3 in both"):
        skmm.select(X, n, exclude=LOST, include=[3])
    with pytest.raises(ValueError, match="include: expected rows in"):
        skmm.select(X, n, exclude=LOST, include=[N])
    with pytest.raises(ValueError, match="y: expected shape"):
        skmm.select(X, n, exclude=LOST, y=Y[:-1])
