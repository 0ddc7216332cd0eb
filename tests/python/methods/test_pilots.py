"""Pilots and targets together: the mean gradient of the target is matched at the pilot."""

import numpy as np
import pytest

import skmm_fast as skmm
from skmm_fast.methods.linear_pilot import LinearPilot

rng = np.random.default_rng(0)
N, D, T = 600, 6, 40
X = rng.standard_normal((N, D))
Y = (X[:, 0] + 0.5 * rng.standard_normal(N) > 0) + 2 * (X[:, 1] > 0.5)
# A task of other shares of classes, and of features on one side.
X_T = rng.standard_normal((T, D)) + np.array([1, 1, 0, 0, 0, 0])
Y_T = (X_T[:, 0] > 0) + 2 * (X_T[:, 1] > 0.5)


def errors_at(G, tasks, S):
    """Φ(S) and its expectation over uniform draws, by their definitions, for the goal of `tasks`:
    the mean of their means, shrunk to that of G by James and Stein."""
    n, (N, m) = len(S), G.shape
    mean, cov = G.mean(axis=0), np.cov(G.T, bias=True)
    whole = np.linalg.inv(cov + np.trace(cov) / m * np.eye(m))
    square = np.trace(whole @ cov)
    way = np.mean([G_T.mean(axis=0) for G_T in tasks], axis=0) - mean
    noise = square * np.mean([1 / len(G_T) for G_T in tasks]) / len(tasks)
    goal = max(0.0, 1 - noise / (way @ whole @ way)) * way
    off = G[S].mean(axis=0) - mean - goal
    return n * off @ whole @ off, square * (N - n) / (N - 1) + n * goal @ whole @ goal


def require_matched(found, G, tasks):
    error, of_draws = errors_at(G, tasks, found.indices)
    assert found.diagnosis.mean_error == pytest.approx(error, rel=1e-6, abs=1e-9)
    assert found.diagnosis.random_mean_error == pytest.approx(of_draws, rel=1e-6)
    assert error < 0.05 * of_draws


def outer(E, X):
    X1 = np.column_stack([X, np.ones(len(X))])
    return (E[:, :, None] * X1[:, None, :]).reshape(len(X), -1)


def softmax_gradients(head, X, y):
    P = np.exp(X @ head.W + head.b)
    return outer(P / P.sum(axis=1, keepdims=True) - np.eye(P.shape[1])[y], X)


@pytest.fixture
def fitted(monkeypatch):
    """The rows, weights and results of the pilots that are fitted."""
    seen, fit = [], LinearPilot.fitted

    def recorded(self, S, weights):
        seen.append((S, weights, fit(self, S, weights)))
        return seen[-1][-1]

    monkeypatch.setattr(LinearPilot, "fitted", recorded)
    return seen


class TestLinear:
    def test_the_target_is_matched_at_the_head(self, fitted):
        found = skmm.select(X, 80, y=Y, pilot="linear", target=(X_T, Y_T))
        ((S, weights, head),) = fitted
        assert len(np.unique(S)) == 80
        assert np.array_equal(weights, np.ones(80))
        require_matched(found, softmax_gradients(head, X, Y), [softmax_gradients(head, X_T, Y_T)])
        assert np.array_equal(found.weights, np.ones(80))
        assert found.settings["n_target"] == [T]
        assert found.settings["pilot"] == "linear"

    def test_so_it_is_for_numbers(self, fitted):
        y = X @ np.arange(D) + rng.standard_normal(N)
        y_t = np.round(X_T @ np.arange(D) + rng.standard_normal(T))  # they may be whole
        found = skmm.select(X, 80, y=y, pilot="linear", target=(X_T, y_t))
        ((_, _, head),) = fitted
        G, G_T = (outer(A @ head.W + head.b - of[:, None], A) for A, of in ((X, y), (X_T, y_t)))
        require_matched(found, G, [G_T])

    def test_and_for_several_tasks(self, fitted):
        pairs = [(X_T[:30], Y_T[:30]), (X_T[30:], Y_T[30:])]
        found = skmm.select(X, 80, y=Y, pilot="linear", target=pairs)
        ((_, _, head),) = fitted
        tasks = [softmax_gradients(head, *pair) for pair in pairs]
        require_matched(found, softmax_gradients(head, X, Y), tasks)
        assert found.settings["n_target"] == [30, 10]

    def test_labels_of_any_kind(self):
        options = {"pilot": "linear", "diagnose": "fast"}
        expected = skmm.select(X, 50, y=Y, target=(X_T, Y_T), **options).indices
        words = np.array(["a", "b", "c", "d"])
        for y, y_t in (
            (words[Y], words[Y_T]),
            (words[Y].astype(object), words[Y_T].tolist()),
            (Y.astype(np.float32), Y_T),
            (Y + 7, (Y_T + 7).astype(np.uint8)),
        ):
            found = skmm.select(X, 50, y=y, target=[(X_T, y_t)], **options)
            assert np.array_equal(found.indices, expected)

    def test_the_target_is_sketched_like_the_pool(self):
        """Features and gradients: the head sees sketched features."""
        wide, wide_T = rng.standard_normal((N, 40)), rng.standard_normal((T, 40))
        S = skmm.SparseSign(40, 10, seed=3)
        options = {"y": Y, "pilot": "linear", "seed": 3, "sketch_dim": 10, "diagnose": "fast"}
        found = skmm.select(wide, 60, target=(wide_T, Y_T), **options)
        by_hand = skmm.select(S.apply(wide), 60, target=(S.apply(wide_T), Y_T), **options)
        assert np.array_equal(found.indices, by_hand.indices)
        assert found.picture["eigenvalues"].shape == (10,)

    def test_constraints_are_kept(self):
        found = skmm.select(
            X, 40, y=Y, pilot="linear", target=(X_T, Y_T), per_class="balanced", include=[5],
            exclude=[0, 1],
        )  # fmt: skip
        assert np.bincount(Y[found.indices]).tolist() == [10] * 4
        assert 5 in found.indices
        assert not {0, 1} & set(found.indices)


class TestAFunction:
    G = rng.standard_normal((N, 5)) + 0.3
    G_T = rng.standard_normal((T, 5)) + np.array([1, 0, 0, 0, 0])

    def test_gets_the_first_choice_and_returns_a_pair(self):
        seen = []

        def pilot(rows):
            seen.append(rows)
            return self.G, self.G_T

        found = skmm.select(X, 60, target=X_T, pilot=pilot, seed=2)
        (rows,) = seen
        assert np.array_equal(rows, skmm.select(X, 60, target=X_T, seed=2).indices)
        require_matched(found, self.G, [self.G_T])

    def test_returns_a_list_for_several_tasks(self):
        tasks = [self.G_T[:15], self.G_T[15:]]
        found = skmm.select(X, 60, target=[X_T[:15], X_T[15:]], pilot=lambda rows: (self.G, tasks))
        require_matched(found, self.G, tasks)

    def test_wide_results_are_sketched_alike(self):
        wide, wide_T = rng.standard_normal((N, 700)), rng.standard_normal((T, 700)) + 0.2
        S = skmm.SparseSign(700, 512, seed=4)
        chosen = [
            skmm.select(X, 60, target=X_T, pilot=lambda rows, p=p: p, seed=4, diagnose="fast")
            for p in ((wide, wide_T), (S.apply(wide), S.apply(wide_T)))
        ]
        assert np.array_equal(chosen[0].indices, chosen[1].indices)
        assert chosen[0].picture["eigenvalues"].shape == (512,)


G, G_T = TestAFunction.G, TestAFunction.G_T
PAIR, WORDS = "expected a pair", [*"ab"] * 20
OF_LINEAR = [  # y, target, the message
    (Y, X_T, rf"target: {PAIR} \(rows, labels\) for pilot 'linear', got ndarray"),
    (Y, [X_T], rf"target\[0\]: {PAIR} .* got ndarray"),
    (Y, (X_T,), f"target: {PAIR} .* got tuple"),
    (Y, [(X_T, Y_T), X_T], rf"target\[1\]: {PAIR}"),
    (Y, [], "target: expected the rows of at least one task"),
    (Y, (X_T, Y_T[1:]), r"target\[1\]: expected shape \(40,\), got \(39,\)"),
    (Y, (X_T, Y_T + 4), r"target\[1\]: expected classes that occur in y, got 5"),
    (Y, [(X_T, WORDS)], r"target\[0\]\[1\]: expected classes that occur in y, got 'a'"),
    (X[:, 0], (X_T, WORDS), r"target\[1\]: expected numbers, as y has, got <U1"),
    (Y, (X_T[:, 1:], Y_T), r"target\[0\]: expected rows of 6 entries"),
    (None, (X_T, Y_T), "y: expected labels or numbers for pilot 'linear', got None"),
]
OF_A_FUNCTION = [  # what it returns, the message
    (G, "pilot: expected .* returns a pair, .* got one that returns ndarray"),
    ((G, [G_T, G_T]), "pilot: expected gradients for 1 tasks as in target, got 2"),
    ((G, G_T[1:]), "pilot: expected a row for each of 40 rows of the target, got 39"),
    ((G[1:], G_T), "pilot: expected a row for each of 600 samples, got 599"),
    ((G, G_T[:, 1:]), r"pilot: expected rows of one width, got \[4, 5\]"),
]


@pytest.mark.parametrize(("y", "target", "message"), OF_LINEAR)
def test_errors_of_a_linear_pilot(y, target, message):
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        skmm.select(X, 40, y=y, pilot="linear", target=target)


@pytest.mark.parametrize(("returned", "message"), OF_A_FUNCTION)
def test_errors_of_a_function(returned, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        skmm.select(X, 40, target=X_T, pilot=lambda rows: returned)
