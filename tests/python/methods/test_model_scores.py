"""Scores of predictions, of gradients and of training: the n largest, ties at random."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import baseline_reference as naive

import skmm_fast as skmm

DTYPES = (np.float32, np.float64)
N, C = 90, 6
pytestmark = pytest.mark.filterwarnings("ignore:n = .* < rank")

X = np.random.default_rng(0).standard_normal((N, 5)).astype(np.float32)
y = np.random.default_rng(1).integers(0, C, N)
LOGITS = 2 * np.random.default_rng(2).standard_normal((N, C))


def chosen(n, method, X=X, **options):
    return skmm.select(X, n, method=method, sketch_dim=X.shape[1], **options).indices


def check(method, scores, tolerance=1e-6, X=X, **options):
    """Whatever n, the scores chosen are the n largest."""
    largest = np.sort(scores)[::-1]
    for n in (1, 7, len(scores) // 2, len(scores)):
        found = np.sort(scores[chosen(n, method, X=X, **options)])[::-1]
        np.testing.assert_allclose(found, largest[:n], rtol=tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("given_as", ["probs", "logits"])
@pytest.mark.parametrize("method", ["entropy", "margin", "least-confidence", "el2n"])
def test_scores_of_predictions(method, given_as, dtype):
    logits = LOGITS.astype(dtype)
    P = naive.softmax(logits.astype(float))
    options = {given_as: logits if given_as == "logits" else P.astype(dtype)}
    score = getattr(naive, method.replace("-", "_"))
    if method == "el2n":
        check(method, score(P, y), y=y, **options)
    else:
        check(method, score(P), **options)


@pytest.mark.parametrize("method", ["entropy", "margin", "least-confidence", "el2n"])
def test_certain_predictions(method):
    """Zeros and ones; logits so far apart that their softmax is zeros and ones."""
    right = np.arange(N) % 3 > 0
    P = np.eye(C)[np.where(right, y, (y + 1) % C)]
    unsure = [4, 40]
    P[unsure] = 1 / C
    for options in ({"probs": P}, {"logits": (np.log(P + 1e-300) * 2).astype(np.float32)}):
        if method == "el2n":
            check(method, naive.el2n(P, y), y=y, **options)
        else:
            assert chosen(2, method, **options).tolist() == unsure


@pytest.mark.parametrize("given_as", ["logits", "probs"])
@pytest.mark.parametrize("method", ["entropy", "margin", "least-confidence", "el2n"])
def test_confident_predictions(method, given_as):
    """Probabilities of 1e-9 beside one near 1, in float32: what is left of the latter is 0."""
    logits = (20 * np.eye(C)[y] + 2 * LOGITS).astype(np.float32)
    P = naive.softmax(logits.astype(float))
    options = {"logits": logits}
    if given_as == "probs":
        P = P.astype(np.float32)
        options, P = {"probs": P}, P.astype(float)
        P /= P.sum(axis=1, keepdims=True)  # what float32 left out
    if method == "el2n":
        check(method, naive.el2n(P, y), 1e-5, y=y, **options)
    else:
        check(method, getattr(naive, method.replace("-", "_"))(P), 1e-5, **options)


def test_huge_logits_do_not_overflow():
    logits = (LOGITS * 1e30).astype(np.float32)
    logits[13] = 1e30
    for method in ("entropy", "margin", "least-confidence"):
        assert chosen(1, method, logits=logits).tolist() == [13]


@pytest.mark.parametrize("dtype", DTYPES)
def test_grand_is_the_norm_of_a_row(dtype):
    Z = X.astype(dtype) * np.random.default_rng(3).exponential(size=(N, 1)).astype(dtype)
    check("grand", np.linalg.norm(Z.astype(float), axis=1), X=Z)


def test_grand_of_wide_rows_is_the_norm_of_their_sketch():
    wide = np.random.default_rng(4).standard_normal((N, 300)).astype(np.float32)
    Z = skmm.SparseSign(300, 16, seed=3).apply(wide)
    rows = skmm.select(wide, 20, method="grand", sketch_dim=16, seed=3).indices
    assert set(rows) == set(np.argsort(np.linalg.norm(Z.astype(float), axis=1))[-20:])


@pytest.mark.parametrize("dtype", DTYPES)
def test_deepfool_is_the_smallest_move_that_changes_the_class(dtype):
    rng = np.random.default_rng(5)
    features = rng.standard_normal((N, 2)).astype(dtype)
    head = rng.standard_normal((4, 2)).astype(dtype)
    logits = features @ head.T + rng.standard_normal(4).astype(dtype)
    moves = naive.smallest_change(logits.astype(float), head.astype(float))
    check("deepfool", -moves, 1e-4, logits=logits, head=head)


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.integers(2, 12), st.floats(0, 1))
def test_forgetting_counts_events(seed, epochs, share):
    record = np.random.default_rng(seed).random((epochs, N)) < share
    check("forgetting", naive.forgetting(record), record=record)


def test_forgetting_begins_with_what_was_never_learned():
    record = np.ones((6, N), bool)
    record[1::2, :5] = False  # forgotten three times
    record[:, 50:53] = False  # never right
    record[:3, 60] = False  # learned late, never forgotten
    assert chosen(3, "forgetting", record=record).tolist() == [50, 51, 52]
    assert chosen(8, "forgetting", record=record).tolist() == [0, 1, 2, 3, 4, 50, 51, 52]


TIES = {
    "entropy": {"probs": np.full((N, C), 1 / C)},
    "margin": {"probs": np.full((N, C), 1 / C)},
    "least-confidence": {"logits": np.zeros((N, C), np.float32)},
    "el2n": {"probs": np.full((N, C), 1 / C), "y": np.zeros(N, int)},
    "forgetting": {"record": np.zeros((3, N), bool)},
    "deepfool": {"logits": np.tile(np.arange(C) / 8, (N, 1)), "head": np.eye(C)},
    "grand": {"X": np.tile(X[:1], (N, 1))},
}


@pytest.mark.parametrize("method", TIES)
def test_ties_are_drawn_by_seed(method):
    T, n = 70, 9
    draws = [tuple(chosen(n, method, seed=seed, **TIES[method])) for seed in range(T)]
    assert draws[0] == tuple(chosen(n, method, seed=0, **TIES[method]))
    assert len(set(draws)) > 0.99 * T
    counts = np.bincount(np.concatenate(draws), minlength=N)
    p = n / N
    assert np.all(np.abs(counts - T * p) < 5 * np.sqrt(T * p * (1 - p)))


def test_only_ties_at_the_border_are_drawn():
    record = np.ones((4, N), bool)
    record[1, :20] = False  # one event
    record[1::2, 20:25] = False  # two
    sets = {tuple(chosen(10, "forgetting", record=record, seed=seed)) for seed in range(20)}
    assert len(sets) > 15
    assert all(set(range(20, 25)) < set(rows) <= set(range(25)) for rows in sets)


def ruled_out():
    """Logits where each row has probability 0 for some classes, and its probabilities."""
    logits = LOGITS.copy()
    logits[np.arange(N) % 3 == 0, 1] = -np.inf
    logits[np.arange(N) % 4 == 0, 0] = -np.inf
    logits[7] = -np.inf
    logits[7, 2] = 1.5  # one class alone is left
    P = np.exp(logits.astype(float) - logits.astype(float).max(axis=1, keepdims=True))
    return logits, P / P.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", ["entropy", "margin", "least-confidence", "el2n"])
def test_a_logit_of_minus_infinity_is_a_class_of_probability_zero(method, dtype):
    logits, P = ruled_out()
    labels = {"y": y} if method == "el2n" else {}
    options = {"logits": logits.astype(dtype), **labels}
    if method == "el2n":
        check(method, naive.el2n(P, y), 1e-5, **options)
        return
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = {
            "entropy": -np.where(P > 0, P * np.log(P), 0).sum(axis=1),
            "margin": 1 - np.diff(np.sort(P, axis=1)[:, -2:], axis=1)[:, 0],
            "least-confidence": 1 - P.max(axis=1),
        }
    check(method, expected[method], 1e-5, **options)
    with_probs = chosen(20, method, probs=P.astype(dtype))
    assert np.array_equal(chosen(20, method, **options), with_probs)


def test_contextual_diversity_with_classes_ruled_out():
    logits, P = ruled_out()
    ours = chosen(12, "contextual-diversity", logits=logits)
    assert np.array_equal(ours, chosen(12, "contextual-diversity", probs=P))


def test_a_class_that_is_ruled_out_is_never_the_nearest():
    rng = np.random.default_rng(5)
    head = rng.standard_normal((4, 2))
    logits = rng.standard_normal((N, 2)) @ head.T + rng.standard_normal(4)
    without = logits[:, :3].copy()
    logits[:, 3] = -np.inf
    moves = naive.smallest_change(without, head[:3])
    check("deepfool", -moves, 1e-4, logits=logits, head=head)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_other_logits_that_are_not_finite_are_refused(value):
    logits, _ = ruled_out()
    logits[5, 1] = value
    with pytest.raises(ValueError, match=r"logits: .* NaN or Inf in 1 of \d+ rows, first in row 5"):
        chosen(3, "entropy", logits=logits)
    logits[5] = -np.inf
    with pytest.raises(ValueError, match=r"logits: .* NaN or Inf in 1 of \d+ rows, first in row 5"):
        chosen(3, "entropy", logits=logits)
    with pytest.raises(ValueError, match="probs: expected finite values"):
        chosen(3, "entropy", probs=logits)
