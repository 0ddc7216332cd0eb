"""The linear pilot: gradients at a head and how it is fitted, by their definitions; pilots of
`select`."""

from functools import partial

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import skmm_fast as skmm
from skmm_fast.methods import linear_pilot
from skmm_fast.methods.labels import labels_of
from skmm_fast.methods.linear_pilot import Head, LinearPilot
from skmm_fast.pool.host_rows import HostRowMatrix

WORDS = np.array(["ant", "bee", "cat"])


def features(N, d, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).standard_normal((N, d)).astype(dtype)


def pilot_of(X, y, make_sketch=lambda in_dim: None):
    return LinearPilot(HostRowMatrix(X), labels_of(y, len(X)), make_sketch, 1)


def head_of(d, outputs, seed=0):
    rng = np.random.default_rng(seed)
    return Head(rng.standard_normal((d, outputs)), rng.standard_normal(outputs))


def probabilities(outputs):
    e = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


class TestGradients:
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_of_the_softmax_loss_by_a_loop(self, dtype):
        X, y = features(30, 4, dtype), WORDS[np.arange(30) % 3]
        head = head_of(4, 3)
        expected = np.empty((30, 15))
        for i in range(30):
            p = probabilities(X[i : i + 1] @ head.W + head.b)[0]
            for c in range(3):
                error = p[c] - (WORDS[c] == y[i])
                expected[i, 5 * c : 5 * c + 5] = error * np.append(X[i], 1)
        found = pilot_of(X, y).gradients(head)
        assert found.dtype == dtype
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)

    def test_of_the_squared_loss_by_a_loop(self):
        X, y = features(30, 4), features(30, 1, seed=1)[:, 0]
        head = head_of(4, 1)
        expected = [
            (X[i] @ head.W[:, 0] + head.b[0] - y[i]) * np.append(X[i], 1) for i in range(30)
        ]
        np.testing.assert_allclose(pilot_of(X, y).gradients(head), expected, rtol=1e-12)

    @pytest.mark.parametrize("kind", ["classes", "numbers"])
    def test_those_of_autograd(self, kind):
        torch = pytest.importorskip("torch")
        X = features(12, 5)
        y = np.arange(12) % 3 if kind == "classes" else features(12, 1, seed=1)[:, 0]
        head = head_of(5, 3 if kind == "classes" else 1)
        found = pilot_of(X, y).gradients(head)
        for i in range(12):
            W, b = (torch.tensor(a, requires_grad=True) for a in (head.W, head.b))
            out = torch.tensor(X[i]) @ W + b
            if kind == "classes":
                loss = torch.nn.functional.cross_entropy(out[None], torch.tensor(y[i : i + 1]))
            else:
                loss = (out[0] - y[i]) ** 2 / 2
            loss.backward()
            by_output = np.vstack([W.grad.numpy(), b.grad.numpy()]).T
            np.testing.assert_allclose(found[i], by_output.ravel(), rtol=1e-9, atol=1e-12)

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_wide_ones_are_sketched(self, dtype):
        X, y = features(50, 9, dtype), np.arange(50) % 4
        head, made = head_of(9, 4), []

        def make_sketch(in_dim):
            made.append(in_dim)
            return skmm.SparseSign(in_dim, 16, seed=3)

        found = pilot_of(X, y, make_sketch).gradients(head)
        whole = pilot_of(X, y).gradients(head)
        assert made == [40]
        assert found.dtype == dtype
        expected = skmm.SparseSign(40, 16, seed=3).apply(whole)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)

    def test_many_rows_come_in_blocks(self, monkeypatch):
        X, y = features(100, 3), np.arange(100) % 2
        whole = pilot_of(X, y).gradients(head_of(3, 2))
        monkeypatch.setattr(linear_pilot, "BLOCK", 7)
        np.testing.assert_allclose(pilot_of(X, y).gradients(head_of(3, 2)), whole, rtol=1e-12)

    def test_large_outputs_do_not_overflow(self):
        X, y = features(10, 2), np.arange(10) % 2
        head = Head(1e4 * np.array([[1.0, -1.0], [2.0, 0.5]]), np.zeros(2))
        assert np.isfinite(pilot_of(X, y).gradients(head)).all()


class TestTheConstantHead:
    def test_predicts_the_shares_of_the_classes(self):
        y = WORDS[[0] * 6 + [1] * 3 + [2] * 1]
        head = pilot_of(features(10, 3), y).constant()
        assert not head.W.any()
        np.testing.assert_allclose(probabilities(head.b[None])[0], [0.6, 0.3, 0.1])

    def test_predicts_the_mean(self):
        y = np.array([0.5, 0.5, 2.0, 4.0])
        head = pilot_of(features(4, 3), y).constant()
        assert not head.W.any()
        assert head.b == pytest.approx(1.75)

    def test_has_a_gradient_of_zero_in_the_mean(self):
        for y in (np.arange(40) % 3, features(40, 1, seed=1)[:, 0]):
            pilot = pilot_of(features(40, 3), y)
            G = pilot.gradients(pilot.constant()).reshape(40, -1, 4)
            np.testing.assert_allclose(G[:, :, -1].mean(axis=0), 0, atol=1e-12)


def softmax_objective(X, of, weights, W, b):
    """With the scale of features that the head was fitted on."""
    log_p = np.log(probabilities(X @ W + b))[np.arange(len(X)), of]
    return -(weights @ log_p) + np.square(W).sum() / (2 * linear_pilot.SOFTNESS)


class TestTheSoftmaxHead:
    @pytest.mark.parametrize(("n_classes", "weighted"), [(2, False), (3, False), (4, True)])
    def test_is_that_of_scikit_learn(self, n_classes, weighted, monkeypatch):
        sklearn = pytest.importorskip("sklearn.linear_model")
        monkeypatch.setattr(linear_pilot, "STEPS", 5000)
        rng = np.random.default_rng(n_classes)
        X = 3.0 * rng.standard_normal((80, 4)) + 1
        y = np.argmax(X @ rng.standard_normal((4, n_classes)) + 3 * rng.gumbel(size=n_classes), 1)
        y[:n_classes] = np.arange(n_classes)
        y = np.where(rng.random(80) < 0.3, rng.integers(0, n_classes, 80), y)
        S = np.sort(rng.permutation(80)[:60])
        S = np.union1d(S, np.arange(n_classes))
        weights = rng.exponential(size=len(S)) + 0.1 if weighted else np.ones(len(S))
        weights /= weights.mean()
        head = pilot_of(X, y).fitted(S, weights)
        scale = np.sqrt(np.square(X[S]).sum(axis=1).mean())
        # Of two classes scikit-learn has one vector, the difference of ours.
        C = linear_pilot.SOFTNESS * (2 if n_classes == 2 else 1)
        theirs = sklearn.LogisticRegression(C=C, max_iter=10_000, tol=1e-9)
        theirs.fit(X[S] / scale, y[S], sample_weight=weights)
        P = probabilities(X @ head.W + head.b)
        np.testing.assert_allclose(P, theirs.predict_proba(X / scale), atol=2e-3)

    def test_fifty_steps_end_near_the_optimum(self, monkeypatch):
        X, y = features(60, 6), np.random.default_rng(1).integers(0, 3, 60)
        S, weights = np.arange(60), np.ones(60)
        scale = np.sqrt(np.square(X).sum(axis=1).mean())

        def objective(head):
            return softmax_objective(X / scale, y, weights, head.W * scale, head.b)

        quick = objective(pilot_of(X, y).fitted(S, weights))
        monkeypatch.setattr(linear_pilot, "STEPS", 5000)
        best = objective(pilot_of(X, y).fitted(S, weights))
        assert best <= quick * (1 + 1e-9)
        assert quick <= 1.02 * best

    def test_classes_that_are_missing_keep_small_probabilities(self):
        X, y = features(60, 3), np.arange(60) % 4
        S = np.flatnonzero(y < 2)
        pilot = pilot_of(X, y)
        P = probabilities(X @ pilot.fitted(S, np.ones(len(S))).W + pilot.fitted(S, np.ones(30)).b)
        assert np.isfinite(P).all()
        assert P.min() > 0
        assert P[:, 2:].mean() < 0.05

    @pytest.mark.parametrize("S", [[3], [3, 7]])
    def test_of_one_or_two_rows(self, S):
        X, y = features(20, 3), np.arange(20) % 4
        head = pilot_of(X, y).fitted(np.array(S), np.ones(len(S)))
        assert np.isfinite(head.W).all()
        assert (X[S] @ head.W + head.b).argmax(axis=1).tolist() == y[S].tolist()

    def test_the_scale_of_features_does_not_matter(self):
        X, y = features(40, 3), np.arange(40) % 3
        S, weights = np.arange(0, 40, 2), np.ones(20)
        head = pilot_of(X, y).fitted(S, weights)
        for scale in (2.0**-30, 2.0**30):
            other = pilot_of(scale * X, y).fitted(S, weights)
            np.testing.assert_allclose(other.W * scale, head.W, rtol=1e-6)
            np.testing.assert_allclose(other.b, head.b, rtol=1e-6)


def weighted_ridge(X, y, weights, ridge):
    """argmin Σ ω (x w + b - y)² + ridge ‖w‖², by the normal equations."""
    X1 = np.column_stack([X, np.ones(len(X))])
    H = X1.T @ (weights[:, None] * X1) + np.diag([ridge] * X.shape[1] + [0.0])
    found = np.linalg.lstsq(H, X1.T @ (weights * y), rcond=None)[0]
    return found[:-1], found[-1]


def error_of_refits(X, y, weights, ridge):
    """The weighted mean square of the errors on rows that were left out, one at a time."""
    errors = []
    for i in range(len(y)):
        rest = np.delete(np.arange(len(y)), i)
        w, b = weighted_ridge(X[rest], y[rest], weights[rest], ridge)
        errors.append(y[i] - X[i] @ w - b)
    return np.mean(weights * np.square(errors))


class TestTheRidgeHead:
    @settings(max_examples=25)
    @given(st.integers(0, 2**32), st.booleans(), st.integers(4, 25), st.integers(1, 6))
    def test_is_the_best_on_rows_left_out(self, seed, weighted, n, d):
        rng = np.random.default_rng(seed)
        X = rng.standard_normal((n, d)) + 1
        y = X @ rng.standard_normal(d) + rng.exponential() * rng.standard_normal(n) + 3
        weights = rng.exponential(size=n) ** 2 + 0.05 if weighted else np.ones(n)
        weights /= weights.mean()
        head = pilot_of(X, y).fitted(np.arange(n), weights)
        scale = np.sqrt(np.square(X).sum(axis=1).mean())
        X = X / scale
        errors = [error_of_refits(X, y, weights, ridge) for ridge in linear_pilot.RIDGES]
        fits = [weighted_ridge(X, y, weights, ridge) for ridge in linear_pilot.RIDGES]
        # Of ridges whose errors are within rounding either may be taken.
        good = [k for k, e in enumerate(errors) if e <= min(errors) * (1 + 1e-6)]
        found = np.append(head.W[:, 0] * scale, head.b)
        assert any(np.allclose(found, np.append(*fits[k]), rtol=1e-5, atol=1e-7) for k in good)

    @pytest.mark.parametrize("n", [1, 2, 3])
    def test_of_few_rows(self, n):
        X, y = features(20, 5), features(20, 1, seed=1)[:, 0]
        head = pilot_of(X, y).fitted(np.arange(n), np.ones(n))
        assert np.isfinite(head.W).all()
        assert np.isfinite(head.b).all()
        if n == 1:
            assert not head.W.any()
            assert head.b == pytest.approx(y[0])

    def test_of_more_features_than_rows(self):
        X = features(15, 40)
        y = X[:, 0] + 0.5
        head = pilot_of(X, y).fitted(np.arange(10), np.ones(10))
        assert np.isfinite(head.W).all()

    def test_of_equal_features_or_numbers(self):
        constant = np.ones((9, 2))
        head = pilot_of(constant, np.arange(9) + 0.5).fitted(np.arange(9), np.ones(9))
        np.testing.assert_allclose(constant @ head.W[:, 0] + head.b, 4.5)
        X = features(9, 2)
        head = pilot_of(X, np.full(9, 1.5)).fitted(np.arange(9), np.ones(9))
        np.testing.assert_allclose(X @ head.W[:, 0] + head.b, 1.5)


LABELS = {
    "integers": lambda rng: rng.integers(0, 4, 200),
    "words": lambda rng: WORDS[rng.integers(0, 3, 200)],
    "objects": lambda rng: WORDS[rng.integers(0, 3, 200)].astype(object),
    "booleans": lambda rng: rng.random(200) < 0.3,
    "whole floats": lambda rng: rng.integers(0, 3, 200).astype(float),
    "numbers": lambda rng: rng.standard_normal(200),
    "single numbers": lambda rng: rng.standard_normal(200).astype(np.float32),
}


class TestSelect:
    @pytest.mark.parametrize("kind", LABELS)
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_linear(self, kind, dtype):
        X, y = features(200, 6, dtype), LABELS[kind](np.random.default_rng(2))
        for constraints in ({}, {"include": [7, 3], "exclude": np.arange(50, 90)}):
            found = skmm.select(X, 40, y=y, pilot="linear", **constraints)
            assert found.indices.dtype == np.int64
            assert len(np.unique(found.indices)) == 40
            assert set(constraints.get("include", ())) <= set(found.indices)
            assert not set(constraints.get("exclude", ())) & set(found.indices)
            assert found.settings["pilot"] == "linear"
            # What is judged are the gradients at the pilot, and their mean was matched.
            assert found.diagnosis.mean_error < 0.1 * found.diagnosis.random_mean_error

    def test_linear_is_judged_by_the_gradients_at_the_pilot(self):
        """The pilot is finetuned on a first choice, which has the mean of the constant head."""
        X, y = features(120, 3), np.arange(120) % 2
        found = skmm.select(X, 30, y=y, pilot="linear")
        assert found.diagnosis.rank <= 4  # of 8 columns, as two classes have opposite errors
        assert found.picture["eigenvalues"].shape == (8,)

    @pytest.mark.parametrize("n", [1, 2, 200])
    @pytest.mark.parametrize("kind", ["words", "numbers"])
    def test_extreme_n(self, kind, n):
        X, y = features(200, 6), LABELS[kind](np.random.default_rng(2))
        found = skmm.select(X, n, y=y, pilot="linear")
        assert len(np.unique(found.indices)) == n

    def test_threads_and_copies(self, tmp_path):
        torch = pytest.importorskip("torch")
        X, y = features(300, 6, np.float32), np.arange(300) % 3
        options = {"y": y, "pilot": "linear", "seed": 3}
        expected = skmm.select(X, 40, n_threads=1, **options).indices
        assert np.array_equal(skmm.select(X, 40, n_threads=2, **options).indices, expected)
        np.save(tmp_path / "x.npy", X)
        for same in (torch.from_numpy(X), np.load(tmp_path / "x.npy", mmap_mode="r")):
            assert np.array_equal(skmm.select(same, 40, **options).indices, expected)

    def test_wide_gradients_at_the_pilot_are_sketched(self):
        X, y = features(200, 100), np.arange(200) % 10
        found = skmm.select(X, 40, y=y, pilot="linear", diagnose="fast")
        assert found.picture["eigenvalues"].shape == (512,)
        found = skmm.select(X, 40, y=y, pilot="linear", sketch_dim=30, diagnose="fast")
        assert found.picture["eigenvalues"].shape == (30,)

    def test_y_with_one_class_or_number_has_no_gradients(self):
        for y in (np.zeros(50, int), np.full(50, 0.5)):
            with pytest.raises(ValueError, match=r"^(y|pilot): "):
                skmm.select(features(50, 3), 10, y=y, pilot="linear")


class TestAFunction:
    @pytest.mark.parametrize("width", [1, 3, 6, 50])
    def test_gets_the_first_choice_once(self, width):
        X, seen = features(200, 6), []
        other = features(200, width, seed=4)

        def pilot(rows):
            seen.append(rows)
            return other

        found = skmm.select(X, 40, pilot=pilot, include=[5, 150], exclude=[0, 1])
        (rows,) = seen
        assert rows.dtype == np.int64
        assert len(rows) == 40
        assert np.all(np.diff(rows) > 0)
        assert {5, 150} <= set(rows)
        assert not {0, 1} & set(rows)
        first = skmm.select(X, 40, include=[5, 150], exclude=[0, 1])
        assert np.array_equal(rows, first.indices)
        assert found.picture["eigenvalues"].shape == (width,)
        judged = skmm.diagnose(other[2:], found.indices - 2)
        assert found.diagnosis.mean_error == pytest.approx(judged.mean_error, abs=1e-12)
        share = 0.1 if width < 40 else 0.11  # 40 rows have less to choose in 50 dimensions
        assert found.diagnosis.mean_error < share * judged.random_mean_error

    def test_may_return_any_kind_of_rows(self, tmp_path):
        torch = pytest.importorskip("torch")
        X, other = features(200, 6), features(200, 4, np.float32, seed=4)
        np.save(tmp_path / "other.npy", other)
        expected = skmm.select(X, 40, pilot=lambda rows: other).indices
        for same in (
            torch.from_numpy(other),
            sp.csr_array(other),
            np.load(tmp_path / "other.npy", mmap_mode="r"),
            np.hstack([other, other])[:, :4],
        ):
            pilot = partial(lambda given, rows: given, same)
            assert np.array_equal(skmm.select(X, 40, pilot=pilot).indices, expected)

    def test_wide_results_are_sketched(self):
        X, wide = features(200, 6), features(200, 700, seed=4)
        found = skmm.select(X, 40, pilot=lambda rows: wide, diagnose="fast", seed=9)
        assert found.picture["eigenvalues"].shape == (512,)

    def test_its_name_is_kept(self):
        class Finetune:
            def __call__(self, rows):
                return features(200, 4)

        def gradients_at_the_pilot(rows):
            return features(200, 4)

        for pilot, name in ((Finetune(), "Finetune"), (gradients_at_the_pilot, "at_the_pilot")):
            assert name in skmm.select(features(200, 6), 40, pilot=pilot).settings["pilot"]

    def test_needs_no_y_and_gets_classes(self):
        X, y, seen = features(200, 6), np.arange(200) % 4, []

        def pilot(rows):
            seen.append(rows)
            return X

        found = skmm.select(X, 40, y=y, per_class="balanced", pilot=pilot)
        for rows in (seen[0], found.indices):
            assert np.bincount(y[rows]).tolist() == [10] * 4

    def test_its_errors_come_through(self):
        def pilot(rows):
            raise ZeroDivisionError("mine")

        with pytest.raises(ZeroDivisionError, match="mine"):
            skmm.select(features(50, 3), 10, pilot=pilot)

    @pytest.mark.parametrize(
        ("result", "message"),
        [
            (features(49, 3), "expected a row for each of 50 samples, got 49"),
            (features(51, 3), "got 51"),
            (features(50, 3)[0], "expected 2 dimension"),
            (None, "expected an array, got NoneType"),
            ([["a"] * 3] * 50, "expected rows of numbers, got a list of <U1"),
            (np.ones((50, 3), complex), "got complex128"),
            (np.zeros((50, 3)), "expected a nonzero entry"),
            (np.full((50, 3), np.nan), "expected finite values"),
            (np.full((50, 700), np.nan), "expected finite values"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_must_return_a_row_for_each_sample(self, result, message):
        with pytest.raises((ValueError, TypeError), match=rf"^pilot: .*{message}"):
            skmm.select(features(50, 3), 10, pilot=lambda rows: result)


class TestErrors:
    def test_linear_without_y(self):
        with pytest.raises(ValueError, match=r"^y: expected labels or numbers for pilot 'linear'"):
            skmm.select(features(50, 3), 10, pilot="linear")

    @pytest.mark.parametrize("method", ["uniform", "v-optimal", lambda Z, n, seed: range(n)])
    def test_methods_without_a_pilot(self, method):
        for pilot in ("linear", lambda rows: rows):
            with pytest.raises(ValueError, match=r"^pilot: expected None with method"):
                skmm.select(features(50, 3), 10, method=method, y=[0, 1] * 25, pilot=pilot)

    @pytest.mark.parametrize(
        "pilot", ["ridge", "", 1, True, ["linear"], np.ones(3), np.ones((50, 3))], ids=np.shape
    )
    def test_no_pilot(self, pilot):
        with pytest.raises((ValueError, TypeError), match=r"^pilot: expected None, 'linear' or a"):
            skmm.select(features(50, 3), 10, y=[0, 1] * 25, pilot=pilot)

    @pytest.mark.parametrize("bad", [np.inf, -np.inf])
    def test_numbers_that_are_infinite(self, bad):
        y = features(50, 1)[:, 0]
        y[7] = bad
        with pytest.raises(ValueError, match=r"^y: "):
            skmm.select(features(50, 3), 10, y=y, pilot="linear")
