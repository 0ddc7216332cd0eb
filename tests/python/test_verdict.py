"""What a diagnosis says of mean errors, outliers and copies, in figures and in one sentence."""

from dataclasses import replace

import numpy as np
import pytest
from support.matching_reference import mean_error, mean_features

import skmm_fast as skmm


def pool_with_junk(N=1000, m=8, junk=50, seed=0):
    rng = np.random.default_rng(seed)
    Z = rng.standard_normal((N, m)) + 0.5
    Z[:junk] *= 5
    return Z


Z = pool_with_junk()
MATCHED = skmm.match_mean(Z, np.arange(60, 160), seed=1)
UNIFORM = np.random.default_rng(3).choice(1000, 100, replace=False)
JUNK = np.arange(50)


def test_figures_by_their_definitions():
    B = mean_features(Z)
    square = np.square(B).sum(axis=1)
    outlier = square > 4 * square.mean()
    for S in (MATCHED, UNIFORM, JUNK):
        d = skmm.diagnose(Z, S, n_random=1, bound=False)
        assert d.mean_error == pytest.approx(mean_error(B, S))
        # The mean of n‖b̄‖² over draws of n of N rows without replacement.
        assert d.random_mean_error == pytest.approx(square.mean() * (1000 - len(S)) / 999)
        assert d.outliers == pytest.approx(outlier[S].mean())
        assert d.pool_outliers == pytest.approx(outlier.mean())
        assert d.near_copies == 0
    assert outlier.mean() == pytest.approx(0.05, abs=0.01)


def test_near_copies():
    X = np.random.default_rng(0).standard_normal((100, 6))
    X[10] = 3 * X[11]
    X[12] = -X[13]  # the other way round is no copy
    X[14] = X[15] = X[16] = 0.1 * X[17]
    X[[20, 21]] = 0  # a row of zeros has no direction
    for S, copies in ((range(10, 20), 6), (range(20), 6), ([10, 12, 14, 18], 0), ([20, 21, 22], 0)):
        d = skmm.diagnose(X, np.array(S), n_random=0, bound=False)
        assert d.near_copies == pytest.approx(copies / len(S))


def test_many_rows_are_looked_at_evenly():
    X = np.tile(np.random.default_rng(0).standard_normal((2500, 3)), (4, 1))
    X[::100] *= 30  # of 10 000 rows every third is looked at
    d = skmm.diagnose(X, np.arange(10_000), n_random=0, bound=False)
    assert d.outliers == d.pool_outliers == pytest.approx(0.01, abs=0.001)


def test_a_matched_choice():
    verdict = skmm.diagnose(Z, MATCHED).verdict
    assert verdict.startswith("Better than a uniform draw is likely: its mean gradient error is ")
    assert "x below that of uniform draws, its V-optimality" in verdict
    assert verdict.endswith(" the best possible.")
    without = skmm.diagnose(Z, MATCHED, bound=False).verdict
    assert verdict.startswith(without.removesuffix("."))
    assert without.endswith(" theirs.")


def test_a_bound_where_no_uniform_draw_spans():
    d = replace(skmm.diagnose(Z, UNIFORM), random_v_optimality=np.full(2, np.inf),
                v_optimality=1.05, lower_bound=1.0)  # fmt: skip
    assert d.verdict.endswith(", its V-optimality at most 5.0% above the best possible.")


def test_the_words_of_ratios():
    d = replace(skmm.diagnose(Z, UNIFORM), random_mean_error=1.0, random_v_optimality=np.ones(2))
    for ratio, words in ((0.25, "4 x below"), (0.97, "about"), (1.3, "1.3 x"), (0.0, "0 x"),
                         (0.001, "1000 x below")):  # fmt: skip
        verdict = replace(d, mean_error=ratio, v_optimality=2.0, lower_bound=1.5).verdict
        assert f"its mean gradient error is {words} that of uniform draws" in verdict
        assert verdict.endswith(", its V-optimality 2 x theirs and at most 33% above the best "
                                "possible.")  # fmt: skip


def test_uniform_choices():
    said = [skmm.diagnose(Z, np.random.default_rng(seed).choice(1000, 100, replace=False),
                          bound=False).verdict for seed in range(20)]  # fmt: skip
    assert np.mean([verdict.startswith("As good as a uniform draw") for verdict in said]) > 0.6


def test_a_choice_of_junk():
    verdict = skmm.diagnose(Z, JUNK).verdict
    assert verdict.startswith("Worse than a uniform draw is likely: ")
    assert "of its rows are outliers, 5% of all" in verdict


def test_a_choice_of_one_side():
    one_side = np.argsort(-Z[50:, 0])[:100] + 50
    d = skmm.diagnose(Z, one_side)
    assert d.verdict.startswith("Worse than a uniform draw is likely: its mean gradient error is ")
    assert d.mean_error > 2 * d.random_mean_error


def test_where_the_verdict_changes():
    d = replace(skmm.diagnose(Z, UNIFORM), random_mean_error=1.0, outliers=0.1, pool_outliers=0.1)
    for ratio, word in ((0.49, "Better"), (0.51, "As good"), (1.99, "As good"), (2.01, "Worse")):
        assert replace(d, mean_error=ratio).verdict.startswith(word)
    for outliers, word in ((0.24, "Better"), (0.26, "Worse")):  # above 2 x 0.1 + 0.05
        assert replace(d, mean_error=0.1, outliers=outliers).verdict.startswith(word)


def test_all_rows_and_rows_that_are_equal():
    """Where a uniform draw has no error either, the choice is as good as one."""
    for X, S in ((Z, np.arange(1000)), (np.ones((20, 3)), np.arange(5))):
        d = skmm.diagnose(X, S)
        assert d.mean_error == pytest.approx(0, abs=1e-20)
        assert d.random_mean_error == 0
        assert d.verdict.startswith("As good as a uniform draw is likely")
        assert str(d).startswith(d.verdict)


class TestFast:
    def fast(self, **options):
        return skmm.select(Z, 40, diagnose="fast", **options)

    def test_has_no_figures_of_v_optimality(self):
        d = self.fast().diagnosis
        for name in ("v_optimality", "c_s", "spectral", "moment_error"):
            assert np.isnan(getattr(d, name))
        assert d.lower_bound == -np.inf
        assert d.random_v_optimality.shape == (0,)
        full = skmm.select(Z, 40).diagnosis
        for name in ("mean_error", "random_mean_error", "outliers", "near_copies", "rank"):
            assert getattr(d, name) == getattr(full, name)
        assert np.isfinite(full.v_optimality)

    @pytest.mark.parametrize("method", ["auto", "v-optimal", "uniform"])
    def test_is_printed_without_nan(self, method):
        d = self.fast(method=method).diagnosis
        for text in (str(d), d.verdict):
            assert "nan" not in text
            assert "inf" not in text
            assert "V-optimality" not in text
        assert "mean gradient error Φ" in str(d)

    @pytest.mark.parametrize("suffix", [".npz", ".json"])
    def test_is_saved_and_loaded(self, tmp_path, suffix):
        found = self.fast()
        back = skmm.Selection.load(found.save(tmp_path / f"s{suffix}"))
        assert str(back.diagnosis) == str(found.diagnosis)
        assert np.isnan(back.diagnosis.v_optimality)
        assert back.diagnosis.lower_bound == -np.inf
        assert back.diagnosis.random_v_optimality.shape == (0,)
        assert back.diagnosis.mean_error == found.diagnosis.mean_error
        if suffix == ".npz":
            back.plot(tmp_path / "picture.png")

    def test_is_what_few_rows_of_a_wide_sketch_get(self):
        wide = np.random.default_rng(0).standard_normal((100, 30))
        d = skmm.select(wide, 10).diagnosis
        assert np.isnan(d.v_optimality)
        assert np.isfinite(skmm.select(wide, 40).diagnosis.v_optimality)

    def test_chooses_the_same_rows(self):
        for method in ("auto", "v-optimal", "moment-matching"):
            full = skmm.select(Z, 40, method=method)
            assert np.array_equal(self.fast(method=method).indices, full.indices)


class TestNone:
    """The choice alone."""

    @pytest.mark.parametrize("method", ["auto", "v-optimal", "uniform"])
    def test_the_rows_are_those_of_a_diagnosed_selection(self, method):
        found = skmm.select(Z, 40, method=method, diagnose="none")
        full = skmm.select(Z, 40, method=method, diagnose="full")
        assert np.array_equal(found.indices, full.indices)
        assert np.array_equal(found.weights, full.weights)
        assert (found.diagnosis.n, found.diagnosis.n_samples) == (40, len(Z))
        assert np.isnan(found.diagnosis.mean_error)
        assert found.diagnosis.lower_bound == -np.inf
        assert str(found.diagnosis) == f"Not diagnosed.\n40 of {len(Z)} rows"

    def test_uniform_rows_need_no_sketch(self, monkeypatch):
        monkeypatch.setattr(skmm.SparseSign, "_apply", None)
        wide = np.random.default_rng(0).standard_normal((50, 40))
        options = {"method": "uniform", "sketch_dim": 4, "seed": 1}
        found = skmm.select(wide, 10, diagnose="none", **options)
        with pytest.raises(TypeError):
            skmm.select(wide, 10, **options)
        assert len(found.indices) == 10

    @pytest.mark.parametrize("suffix", [".npz", ".json"])
    def test_is_saved_and_loaded_without_a_picture(self, tmp_path, suffix):
        found = skmm.select(Z, 40, method="uniform", diagnose="none", y=np.arange(len(Z)) % 2)
        assert str(found.diagnosis).splitlines()[2].startswith("classes ")
        back = skmm.Selection.load(found.save(tmp_path / f"s{suffix}"))
        assert np.array_equal(back.indices, found.indices)
        assert back.diagnosis.plain() == found.diagnosis.plain()
        with pytest.raises(ValueError, match="diagnose='none'"):
            back.plot()


class TestBound:
    """By default a diagnosis has the bound where it is cheap or the method gives it."""

    def bounds(self, monkeypatch, few, **options):
        monkeypatch.setattr("skmm_fast._select.BOUND", few)
        return skmm.select(Z, 40, **options).diagnosis.lower_bound

    def test_is_left_out_where_it_takes_long(self, monkeypatch):
        assert self.bounds(monkeypatch, 1.0) == -np.inf
        assert self.bounds(monkeypatch, 1.0, diagnose="full") == self.bounds(monkeypatch, 1e9)
        assert np.isfinite(self.bounds(monkeypatch, 1e9))

    def test_is_there_where_the_method_has_it(self, monkeypatch):
        found = self.bounds(monkeypatch, 1.0, method="v-optimal")
        assert found == self.bounds(monkeypatch, 1e9, method="v-optimal")
        assert np.isfinite(found)
