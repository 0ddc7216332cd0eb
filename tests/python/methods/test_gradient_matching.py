"""Gradient matching as a method of `select`: constraints, weights, cells, kinds of input."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from support.matching_reference import mean_error, mean_features
from support.problems import check, problems

import skmm_fast as skmm
from mixture import gmm

KINDS = (None, "proportional", "sqrt", "balanced", 0.3, 1, "counts")
METHOD = "gradient-matching"


def rows_of(N, m, dtype=np.float64, seed=0):
    """Rows of unequal length, far from the origin."""
    rng = np.random.default_rng(seed)
    Z = rng.standard_t(4, size=(N, m)) * 0.8 ** np.arange(m) + rng.standard_normal(m)
    return Z.astype(dtype)


def unequal_classes(N, shares=(0.5, 0.3, 0.15, 0.05), seed=0):
    sizes = np.round(N * np.array(shares)).astype(int)
    return np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))


class TestConstraints:
    @settings(max_examples=150)
    @given(problems(KINDS), st.sampled_from([METHOD, "auto"]), st.integers(1, 9))
    def test_are_kept(self, problem, method, rows_per_cell):
        Z, y, n, per_class, include, exclude, _ = problem
        found = skmm.select(
            Z, n, method=method, y=y, per_class=per_class, include=include, exclude=exclude,
            rows_per_cell=rows_per_cell, seed=3,
        )  # fmt: skip
        check(found.indices, problem)
        assert found.weights.shape == (n,)
        assert found.weights.min() > 0
        assert found.weights.mean() == pytest.approx(1)

    @settings(max_examples=60)
    @given(problems(KINDS))
    def test_weights_restore_the_shares_of_the_classes(self, problem):
        Z, y, n, per_class, include, exclude, _ = problem
        found = skmm.select(
            Z, n, y=y, per_class=per_class, include=include, exclude=exclude, diagnose="fast"
        )
        left = np.delete(y, exclude)
        mine = y[found.indices]
        there = np.isin(left, mine)  # A class with a count of 0 has no share.
        for c in np.unique(mine):
            assert len(np.unique(found.weights[mine == c].round(9))) == 1
            share = found.weights[mine == c].sum() / n
            assert share == pytest.approx((left == c).sum() / there.sum())

    def test_all_rows_may_be_included(self):
        Z = rows_of(50, 4)
        for n in (1, 7, 50):
            rows = np.arange(50)[::-1][:n]
            found = skmm.select(Z, n, include=rows)
            assert np.array_equal(found.indices, np.sort(rows))

    def test_a_class_may_be_excluded_or_included_whole(self):
        Z, y = rows_of(100, 4), unequal_classes(100)
        rare = np.flatnonzero(y == 3)
        found = skmm.select(Z, 20, y=y, exclude=rare)
        assert not (y[found.indices] == 3).any()
        assert np.bincount(y[found.indices]).min() >= 1
        found = skmm.select(Z, 20, y=y, include=rare)
        assert set(rare) <= set(found.indices)
        assert np.bincount(y[found.indices], minlength=4).min() >= 1
        assert np.bincount(y[found.indices])[3] == len(rare)

    def test_fewer_rows_than_classes(self):
        y = (np.arange(60) % 30).astype(str)
        found = skmm.select(rows_of(60, 4), 7, y=y, include=[59])
        assert len(np.unique(found.indices)) == 7
        assert 59 in found.indices


class TestClassCounts:
    @settings(max_examples=60)
    @given(st.lists(st.integers(1, 60), min_size=2, max_size=6), st.data())
    def test_are_in_proportion_by_default(self, sizes, data):
        """n_k is s N_k and at most N_k, up to rounding, and at least 1 where n is twice K."""
        sizes = np.array(sizes)
        n = data.draw(st.integers(len(sizes), sizes.sum()))
        y = np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes))
        found = skmm.select(rows_of(sizes.sum(), 3), n, y=y, diagnose="fast", sweeps=0)
        counts = np.bincount(y[found.indices], minlength=len(sizes))

        least = int(n >= 2 * len(sizes))

        def real(scale):
            return np.clip(scale * sizes, least, sizes)

        scale = brentq(lambda s: real(s).sum() - n, 0, 2 * sizes.max(), xtol=1e-14)
        assert counts.sum() == n
        assert np.all(np.abs(counts - real(scale)) < 1 + 1e-6)
        assert counts.min() >= least
        assert np.all(np.diff(counts[np.argsort(sizes, kind="stable")]) >= -1)
        assert found.diagnosis.class_counts.chosen.tolist() == counts.tolist()

    def test_a_rare_class_of_one_row_is_chosen(self):
        y = np.append(np.zeros(299, int), 1)
        found = skmm.select(rows_of(300, 3), 10, y=y)
        assert 299 in found.indices
        assert found.weights[-1] == pytest.approx(10 / 300)

    def test_without_labels_there_are_none(self):
        found = skmm.select(rows_of(200, 4), 30)
        assert found.diagnosis.class_counts is None
        assert np.array_equal(found.weights, np.ones(30))

    def test_numbers_make_no_classes(self):
        Z = rows_of(200, 4)
        expected = skmm.select(Z, 30)
        for y in (Z[:, 0], Z[:, 0].astype(np.float32), np.arange(200) / 2):
            found = skmm.select(Z, 30, y=y)
            assert np.array_equal(found.indices, expected.indices)
            assert np.array_equal(found.weights, np.ones(30))

    def test_whole_floats_words_and_booleans_do(self):
        Z, y = rows_of(200, 4), unequal_classes(200, (0.7, 0.3))
        expected = skmm.select(Z, 30, y=y)
        assert expected.diagnosis.class_counts.chosen.tolist() == [21, 9]
        for same in (y.astype(float), np.array(["a", "b"])[y], y == 1, (y * 5 - 2).tolist()):
            found = skmm.select(Z, 30, y=same)
            assert np.array_equal(found.indices, expected.indices)
            assert np.array_equal(found.weights, expected.weights)

    def test_names_of_powers(self):
        Z, y = rows_of(300, 4), unequal_classes(300)
        for name, power in (("balanced", 0), ("sqrt", 0.5), ("proportional", 1.0)):
            a, b = (skmm.select(Z, 40, y=y, per_class=per_class) for per_class in (name, power))
            assert np.array_equal(a.indices, b.indices)
        assert np.array_equal(
            skmm.select(Z, 40, y=y).indices, skmm.select(Z, 40, y=y, per_class=1.0).indices
        )


class TestTheMean:
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("constrained", [False, True])
    def test_is_that_of_the_pool(self, constrained, dtype):
        """The Φ of the diagnosis is that of the definition, and far below a uniform draw's."""
        Z, y = rows_of(600, 6, dtype), unequal_classes(600)
        out = np.random.default_rng(3).permutation(600)[:100] if constrained else []
        left = np.setdiff1d(np.arange(600), out)
        options = {"include": left[:5], "exclude": out, "y": y} if constrained else {}
        found = skmm.select(Z, 60, **options)
        d = found.diagnosis
        place = np.searchsorted(left, found.indices)
        expected = mean_error(mean_features(Z[left]), place, found.weights)
        assert d.mean_error == pytest.approx(expected, rel=1e-4, abs=1e-9)
        assert d.mean_error < 0.02 * d.random_mean_error
        assert d.verdict.startswith("Better than a uniform draw")

    def test_a_pilot_changes_which(self):
        Z, other = rows_of(300, 5), rows_of(300, 4, seed=1)
        found = skmm.select(Z, 40, pilot=lambda rows: other)
        assert skmm.diagnose(other, found.indices).mean_error < 0.05
        assert skmm.diagnose(Z, skmm.select(Z, 40).indices).mean_error < 0.05

    def test_without_sweeps_it_is_a_draw_from_cells(self):
        Z = rows_of(400, 5)
        drawn, matched = (skmm.select(Z, 40, sweeps=k).diagnosis for k in (0, 4))
        assert matched.mean_error < 0.1 * drawn.mean_error


class TestCells:
    @pytest.mark.parametrize(("m", "most"), [(24, 0.06), (60, 0.01), (200, 0.01)])
    def test_junk_is_not_sought(self, m, most):
        """Of 5 % of rows in random directions, four times as long as others, it takes few. In few
        dimensions some pair up by chance: they are coherent cells, of which each has a row."""
        N, n, shares = 1200, 120, []
        for seed in range(8):
            rng = np.random.default_rng(seed)
            centre = np.linalg.qr(rng.standard_normal((m, m)))[0][rng.integers(0, 8, N)]
            Z = centre + 0.15 * rng.standard_normal((N, m))
            junk = rng.permutation(N)[: N // 20]
            directions = rng.standard_normal((len(junk), m))
            length = 4 * np.linalg.norm(Z, axis=1).mean()
            Z[junk] = length * directions / np.linalg.norm(directions, axis=1, keepdims=True)
            chosen = skmm.select(Z, n, seed=seed, diagnose="fast").indices
            shares.append(np.isin(chosen, junk).mean())
        # The data do hold a temptation.
        top = skmm.select(Z, n, method="v-optimal", sketch_dim=min(m, 40))
        assert np.isin(top.indices, junk).mean() > 0.2
        assert np.mean(shares) <= most

    @pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
    def test_rows_of_zeros_make_no_outliers(self, share):
        """Of samples that are learnt already the gradients are zeros; the others still count."""
        rng = np.random.default_rng(0)
        Z = rng.standard_normal((2000, 16)) + 0.3
        Z[rng.random(2000) < share] = 0
        for seed in range(3):
            found = skmm.select(Z, 100, seed=seed)
            assert found.diagnosis.mean_error < 0.3 * found.diagnosis.random_mean_error
            zeros = (~Z[found.indices].any(axis=1)).mean()
            assert share - 0.15 < zeros < share + 0.05

    @pytest.mark.parametrize("seed", range(6))
    def test_small_clusters_are_not_missed(self, seed):
        G, _, cluster = gmm(seed, n_rows=1500, r=40)
        sizes = np.bincount(cluster, minlength=8)
        found = skmm.select(G, 40, seed=seed)
        met = np.bincount(cluster[found.indices], minlength=8)
        assert np.all(met[sizes >= 2] >= 1), (sizes, met)

    def test_tiny_clusters_are_not_missed(self):
        """Two clusters of three rows among 3000: a uniform draw of 60 misses them mostly."""
        for seed in range(4):
            rng = np.random.default_rng(seed)
            of = rng.permutation(np.repeat(np.arange(8), [500] * 6 + [3] * 2))
            Z = np.eye(12)[of] + 0.05 * rng.standard_normal((len(of), 12))
            found = skmm.select(Z, 60, seed=seed)
            assert set(of[found.indices]) == set(range(8))

    def test_of_classes_are_apart(self):
        """A small cluster in one class is met, though another class has many rows near it."""
        rng = np.random.default_rng(0)
        of = np.repeat([0, 1, 2], [300, 5, 300])
        y = (of == 2).astype(int)
        Z = np.eye(6)[np.array([0, 1, 1])[of]] + 0.05 * rng.standard_normal((605, 6))
        found = skmm.select(Z, 40, y=y)
        assert (of[found.indices] == 1).any()


X = rows_of(400, 6, np.float32)
Y = unequal_classes(400)


class TestInputs:
    @pytest.mark.parametrize("per_class", ["none", None, "balanced"])
    def test_threads_do_not_matter(self, per_class):
        wide, y = rows_of(2500, 9, np.float32), unequal_classes(2500)
        options = {} if per_class == "none" else {"y": y, "per_class": per_class}
        one, *others = (skmm.select(wide, 90, n_threads=k, **options) for k in (1, 2, 3))
        for other in others:
            assert np.array_equal(one.indices, other.indices)
            assert np.array_equal(one.weights, other.weights)

    def test_kinds(self, tmp_path):
        torch = pytest.importorskip("torch")
        expected = skmm.select(X, 40, y=Y).indices
        np.save(tmp_path / "x.npy", X)
        for same in (
            torch.from_numpy(X),
            np.load(tmp_path / "x.npy", mmap_mode="r"),
            sp.csr_array(X),
            np.hstack([X, X])[:, :6],
        ):
            assert np.array_equal(skmm.select(same, 40, y=Y).indices, expected)
        assert np.array_equal(skmm.select(X, 40, y=torch.from_numpy(Y)).indices, expected)
        assert np.array_equal(skmm.select(X, 0.1, y=Y.tolist()).indices, expected)

    def test_sixteen_bit_rows(self):
        torch = pytest.importorskip("torch")
        half = torch.from_numpy(X).bfloat16()
        expected = skmm.select(half.float(), 40).indices
        assert np.array_equal(skmm.select(half, 40).indices, expected)

    @pytest.mark.parametrize("kind", [np.array, sp.csr_array])
    def test_wide_rows_are_sketched(self, kind):
        wide = np.where(rows_of(300, 700) > 1, rows_of(300, 700), 0)
        found = skmm.select(kind(wide), 40, seed=5, diagnose="fast")
        assert (found.settings["sketch"], found.settings["sketch_dim"]) == ("sparse-sign", 512)
        narrow = skmm.select(kind(wide), 40, sketch_dim=16, seed=5)
        Z = skmm.SparseSign(700, 16, seed=5).apply(kind(wide))
        assert np.array_equal(narrow.indices, skmm.select(Z, 40, seed=5).indices)
        assert narrow.diagnosis.mean_error < 0.05 * narrow.diagnosis.random_mean_error

    def test_unit_rows(self):
        unit = X / np.linalg.norm(X, axis=1, keepdims=True)
        found = skmm.select(X, 40, unit_rows=True).diagnosis
        assert found.mean_error == pytest.approx(
            skmm.select(unit, 40).diagnosis.mean_error, abs=0.01
        )

    def test_seeds(self):
        first = skmm.select(X, 40, seed=1).indices
        assert np.array_equal(first, skmm.select(X, 40, seed=1).indices)
        assert not np.array_equal(first, skmm.select(X, 40, seed=2).indices)
        assert len(skmm.select(X, 40, seed=2**64 - 1).indices) == 40

    def test_auto_is_gradient_matching(self):
        a, b = (skmm.select(X, 40, y=Y, method=method) for method in ("auto", METHOD))
        assert np.array_equal(a.indices, b.indices)
        assert a.settings["method"] == "auto"

    @pytest.mark.parametrize(
        "rows",
        [
            np.ones((30, 5)),
            np.vstack([np.zeros((28, 5)), np.eye(5)[:2]]),
            np.repeat(rows_of(6, 4), 5, axis=0),
            rows_of(3, 8),
            np.outer(np.arange(1, 31.0), np.ones(5)),
            rows_of(30, 1),
            1e6 + rows_of(30, 3),
        ],
        ids=["constant", "zeros", "duplicates", "N < m", "rank 1", "one column", "far away"],
    )
    @pytest.mark.parametrize("labelled", [False, True])
    def test_degenerate(self, rows, labelled):
        N = len(rows)
        for n in (1, N // 2, N):
            y = np.arange(N) % 3 if labelled else None
            assert len(np.unique(skmm.select(rows, n, y=y).indices)) == n
            pilot = skmm.select(rows, n, y=y, pilot=lambda chosen: rows)
            assert len(np.unique(pilot.indices)) == n

    def test_progress(self, capsys):
        expected = skmm.select(X, 40).indices
        assert np.array_equal(skmm.select(X, 40, progress=True).indices, expected)
        shown = capsys.readouterr().err
        assert "select 40 of 400 rows, m = 6, auto: " in shown
        assert "match the mean" in shown


ERRORS = [
    ({"ridge": 0.0}, ValueError, "ridge: "),
    ({"ridge": np.nan}, ValueError, "ridge: "),
    ({"ridge": "1"}, TypeError, "ridge: "),
    ({"sweeps": -1}, ValueError, "sweeps: "),
    ({"sweeps": 2.0}, TypeError, "sweeps: "),
    ({"rows_per_cell": 0}, ValueError, "rows_per_cell: "),
    ({"rows_per_cell": True}, TypeError, "rows_per_cell: "),
    ({"route": "greedy"}, TypeError, "route: expected an option of method 'gradient-matching'"),
    ({"start": [1]}, TypeError, "start: expected an option"),
    ({"y": [0] * 9}, ValueError, "y: expected shape"),
    ({"per_class": "sqrt"}, ValueError, "y: expected labels for per_class"),
    (
        {"y": Y, "per_class": "even"},
        ValueError,
        "per_class: expected one of 'proportional', 'sqrt'",
    ),
    ({"y": Y, "per_class": {0: 39}}, ValueError, "per_class: expected counts that sum to n = 40"),
    ({"include": range(41)}, ValueError, "include: expected at most n = 40"),
    ({"exclude": range(361)}, ValueError, "exclude: expected to leave n = 40"),
    ({"diagnose": "some"}, ValueError, "diagnose: expected one of 'auto', 'full', 'fast', 'none'"),
]


@pytest.mark.parametrize(("options", "error", "message"), ERRORS)
def test_errors_name_the_argument(options, error, message):
    with pytest.raises(error, match=f"^{message}"):
        skmm.select(X, 40, method=METHOD, **options)


class TestTarget:
    def test_the_mean_of_the_target_is_matched(self):
        rng = np.random.default_rng(0)
        centres = rng.standard_normal((10, 12))
        kind = rng.integers(0, 10, 2000)
        Z = centres[kind] + 0.3 * rng.standard_normal((2000, 12))
        few = centres[[3] * 40] + 0.3 * rng.standard_normal((40, 12))
        found = skmm.select(Z, 60, target=few)
        assert (kind[found.indices] == 3).mean() > 0.8
        assert found.diagnosis.mean_error < 0.01 * found.diagnosis.random_mean_error
        assert found.diagnosis.verdict.startswith("Better")

    def test_the_expected_error_of_draws_is_that_to_the_target(self):
        Z, few = rows_of(60, 3), rows_of(5, 3, seed=2)
        d = skmm.select(Z, 12, method="uniform", diagnose="fast").diagnosis
        assert d.random_mean_error < 4
        found = skmm.select(Z, 12, target=few, diagnose="fast").diagnosis
        centred = np.cov(Z.T, bias=True)
        ridged = centred + np.trace(centred) / 3 * np.eye(3)
        whole = np.linalg.inv(ridged)
        way = few.mean(axis=0) - Z.mean(axis=0)
        share = 1 - np.trace(whole @ centred) / 5 / (way @ whole @ way)  # James and Stein
        off = max(share, 0) * way
        expected = np.trace(whole @ centred) * 48 / 59 + 12 * off @ whole @ off
        assert found.random_mean_error == pytest.approx(expected)

    def test_constraints_are_kept(self):
        Z, y = rows_of(200, 4), np.arange(200) % 3
        found = skmm.select(
            Z, 30, y=y, per_class="balanced", include=[7], exclude=[8, 9], target=rows_of(9, 4)
        )
        assert np.bincount(y[found.indices]).tolist() == [10, 10, 10]
        assert 7 in found.indices
        assert not {8, 9} & set(found.indices)


def test_more_coherent_cells_than_rows_to_choose():
    rng = np.random.default_rng(0)
    kind = np.append(np.repeat(np.arange(100), 30), np.repeat(np.arange(100, 130), 3))
    Z = np.eye(130)[kind] + 0.01 * rng.standard_normal((len(kind), 130))
    assert len(skmm.select(Z, 100, rows_per_cell=1).indices) == 100
    assert len(skmm.select(Z, 1, rows_per_cell=1).indices) == 1
