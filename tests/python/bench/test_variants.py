"""bench/variants.py and varied_tasks.py: variants are what they say, on data made here."""

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

import linear_head
import real_data
import skmm_fast as skmm
import variants
import varied_tasks
from compare import METHODS, compare
from variants import VARIANTS, cut_of, problem

N, D, CLASSES = 2_000, 12, 6


def made(kind):
    """Rows whose first feature is their number: where they went can be seen."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N, D)).astype(np.float32)
    X[:, 0] = np.arange(N) / N
    if kind == "targets":
        return X, (X @ rng.standard_normal(D)).astype(np.float32)
    shares = np.full(CLASSES, 1 / CLASSES) if kind == "balanced" else 2.0 ** -np.arange(CLASSES)
    return X, rng.choice(CLASSES, N, p=shares / shares.sum())


def numbers(X):
    return np.rint(X[:, 0] * N).astype(int)


KINDS = ("balanced", "imbalanced", "targets")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_pool_and_test_share_no_row_and_a_seed_gives_the_same_again(kind, variant):
    X, y = made(kind)
    a, b, other = (problem(X, y, variant, seed) for seed in (1, 1, 2))
    clean = problem(X, y, "clean", 1)
    for mine, again, different in (
        (a.X, b.X, other.X), (a.y, b.y, other.y), (a.X_test, b.X_test, other.X_test)
    ):  # fmt: skip
        np.testing.assert_array_equal(mine, again)
        assert not np.array_equal(mine, different)
    assert not set(numbers(clean.X)) & set(numbers(a.X_test))
    np.testing.assert_array_equal(y[numbers(a.X_test)], a.y_test)
    changed = np.any(a.X != clean.X, axis=1) | (a.y != clean.y)
    marked = next(iter(a.marks.values())) if a.marks else np.zeros(len(a.y), bool)
    assert not np.any(changed & ~marked)
    if variant != "shifted":
        np.testing.assert_array_equal(a.X_test, clean.X_test)
    if a.fitted is not None:
        known = set(numbers(a.fitted[0]))
        assert not known & (set(numbers(a.X)) | set(numbers(a.X_test)))


def test_parts_of_a_cut_are_the_data_set():
    _, y = made("imbalanced")
    parts = cut_of(y, np.random.default_rng(0))
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(N))
    assert [len(rows) for rows in parts] == [1250, 500, 250, 0]


def test_the_last_class_is_thinned():
    y = np.repeat([0, 1], N // 2)
    parts = cut_of(y, np.random.default_rng(0), rare=0.1)
    assert y[np.concatenate(parts[:3])].mean() == pytest.approx(0.1, abs=1e-3)
    for rows in parts[:3]:
        assert y[rows].mean() == pytest.approx(0.1, abs=0.05)
    other = cut_of(y, np.random.default_rng(1), rare=0.1)
    assert [len(rows) for rows in parts] == [len(rows) for rows in other]
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(N))


@pytest.mark.parametrize("kind", KINDS)
def test_flipped(kind):
    X, y = made(kind)
    clean, given = problem(X, y, "clean", 0), problem(X, y, "flipped", 0)
    flipped = given.marks["flipped"]
    assert flipped.mean() == pytest.approx(variants.FLIPPED, abs=1e-3)
    np.testing.assert_array_equal(given.y != clean.y, flipped)
    if kind == "targets":
        np.testing.assert_array_equal(np.sort(given.y), np.sort(clean.y))
    else:
        assert given.y.min() == 0
        assert given.y.max() == CLASSES - 1


@pytest.mark.parametrize("kind", KINDS)
def test_junk(kind):
    X, y = made(kind)
    clean, given = problem(X, y, "clean", 0), problem(X, y, "junk", 0)
    junk = given.marks["junk"]
    assert junk.mean() == pytest.approx(variants.JUNK, abs=1e-3)
    length = 4 * np.sqrt((clean.X**2).sum(1).mean())
    np.testing.assert_allclose(np.linalg.norm(given.X[junk], axis=1), length, rtol=1e-5)
    assert set(given.y) <= set(clean.y)


@pytest.mark.parametrize("kind", KINDS)
def test_copies(kind):
    X, y = made(kind)
    given = problem(X, y, "copies", 0)
    copied = given.marks["copied"]
    assert copied.mean() == pytest.approx(variants.COPIED, abs=1e-3)
    gaps = np.linalg.norm(given.X[copied][:, None] - given.X[~copied], axis=2)
    nearest = gaps.argmin(1)
    assert len(np.unique(nearest)) == variants.SOURCES
    lengths = np.linalg.norm(given.X[~copied][nearest], axis=1)
    np.testing.assert_allclose(gaps.min(1), 0.01 * lengths, rtol=1e-3)
    np.testing.assert_array_equal(given.y[copied], given.y[~copied][nearest])


def test_what_a_fitted_head_knows():
    X, y = made("balanced")
    given = problem(X, y, "fitted", 0)
    known = np.unique(given.fitted[1])
    assert len(known) == CLASSES // 2
    W = varied_tasks.with_known(np.zeros((D, CLASSES), np.float32), *given.fitted)
    np.testing.assert_array_equal(np.flatnonzero(np.any(W, axis=0)), known)
    clean = problem(X, y, "clean", 0)
    np.testing.assert_array_equal(given.X, clean.X)

    X, y = made("targets")
    X[:, 1] *= 10  # the first principal direction
    given = problem(X, y, "fitted", 0)
    assert len(given.fitted[1]) == round(250 / 3)
    assert len(np.unique(np.sign(given.fitted[0][:, 1]))) == 1


def test_a_shifted_test_has_other_shares():
    def of_classes(kind, variant):
        counts = np.bincount(problem(*made(kind), variant, 0).y_test, minlength=CLASSES)
        return np.sort(counts / counts.sum())

    even = np.full(CLASSES, 1 / CLASSES)
    np.testing.assert_allclose(of_classes("imbalanced", "shifted"), even, atol=0.05)
    assert of_classes("imbalanced", "clean")[-1] > 0.4
    np.testing.assert_allclose(of_classes("balanced", "clean"), even, atol=0.05)
    geometric = 20 ** -np.linspace(1, 0, CLASSES)
    np.testing.assert_allclose(
        of_classes("balanced", "shifted"), geometric / geometric.sum(), atol=0.05
    )

    X, y = made("targets")
    X[:, 1] *= 10
    shares = [(problem(X, y, v, 0).X_test[:, 1] > 0).mean() for v in ("clean", "shifted")]
    assert abs(shares[0] - 0.5) < 0.1
    assert abs(abs(shares[1] - 0.5) - 0.4) < 0.1


def test_long_gradients_are_sketched(monkeypatch):
    rng = np.random.default_rng(0)
    E, X = (rng.standard_normal((30, k)).astype(np.float32) for k in (4, 5))
    G = varied_tasks.gradients(E, X, 3)
    np.testing.assert_array_equal(G, (E[:, :, None] * X[:, None, :]).reshape(30, 20))
    monkeypatch.setattr(varied_tasks, "DENSE", 19)
    monkeypatch.setattr(varied_tasks, "SKETCHED", 8)
    sketch = skmm.SparseSign(20, 8, seed=3)
    np.testing.assert_allclose(varied_tasks.gradients(E, X, 3), sketch.apply(G), atol=1e-5)


@pytest.mark.parametrize("kind", ["imbalanced", "targets"])
def test_tasks_of_a_data_set(kind, monkeypatch):
    monkeypatch.setitem(varied_tasks.DATA, "made", lambda: made(kind))
    monkeypatch.setitem(varied_tasks.HEADS, "made", varied_tasks.Head())
    methods = {name: METHODS[name] for name in ("uniform", "v-optimal", "class-balanced", "el2n")}
    for variant in VARIANTS:
        rows = compare(
            lambda seed, variant=variant: varied_tasks.task("made", variant, seed),
            methods, (30,), (0, 1), whole=True,
        )  # fmt: skip
        assert {row["task"] for row in rows} == {f"made/{variant}"}
        found = {row["method"] for row in rows}
        expected = {"uniform", "v-optimal", "whole pool"}
        assert found == (expected if kind == "targets" else expected | {"class-balanced", "el2n"})
        for row in rows:
            for metric in row["metrics"].values():
                assert np.isfinite(metric["values"]).all()
            for mark in row["marks"].values():
                assert 0 < mark["pool"] < 1
                assert row["method"] != "whole pool" or mark["values"] == [mark["pool"]] * 2


def test_weights_count_as_repetition():
    X, y = made("targets")
    classes = (y > 0).astype(np.int64)
    rows, weights = np.arange(40), np.tile([1.0, 3.0], 20)
    repeated = np.repeat(rows, weights.astype(int))
    twice = 2.0  # 40 rows of mean weight 1 beside 80
    for score, labels, of_rows, of_repeated in (
        (linear_head.score_of_classes, classes, 5.0, 5.0 / twice),
        (linear_head.score_of_targets, y, 0.5, 0.5 * twice),
    ):
        test = X[1000:], labels[1000:]
        mine = score(X[rows], labels[rows], *test, of_rows, 7 * weights)
        expected = score(X[repeated], labels[repeated], *test, of_repeated)
        assert mine == pytest.approx(expected, rel=1e-3)


def test_data_of_packages_that_are_missing(monkeypatch):
    monkeypatch.setattr(real_data, "find_spec", lambda name: None)
    monkeypatch.setattr(real_data, "CACHE", real_data.CACHE / "none")
    for name in set(real_data.DATA) - {"code", "embedded-code"}:
        with pytest.raises(ModuleNotFoundError):
            real_data.DATA[name].__wrapped__()


def test_features_of_tables():
    columns = np.column_stack([np.arange(50.0), np.ones(50), np.arange(50.0) ** 2])
    standardised = real_data.standardised(columns)
    np.testing.assert_allclose(standardised.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(standardised.std(0), [1, 0, 1], atol=1e-6)
    X = real_data.numbers(columns)
    assert X.dtype == np.float32
    assert X.shape == (50, 3 + real_data.RELUS)
    assert (X**2).sum(1).mean() == pytest.approx(1, rel=1e-5)
