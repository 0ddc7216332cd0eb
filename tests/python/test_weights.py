"""The weights of a selection: what they are, on disk, and in a diagnosis."""

import json

import numpy as np
import pytest

import skmm_fast as skmm

Z = np.random.default_rng(0).standard_normal((240, 5))
Y = np.repeat(["ant", "bee", "cat"], [180, 50, 10])


def selection(**options):
    return skmm.select(Z, 30, y=Y, **{"per_class": "balanced", **options})


def test_each_class_has_its_share_with_any_method():
    for method in ("auto", "uniform", "v-optimal", "k-center"):
        found = selection(method=method)
        assert found.weights.dtype == np.float64
        for c in np.unique(Y):
            mine = found.weights[Y[found.indices] == c]
            assert mine.sum() / 30 == pytest.approx(np.mean(c == Y))
            assert len(set(mine)) == 1
    assert np.array_equal(selection(per_class=None, method="uniform").weights, np.ones(30))


def test_a_function_of_the_user_has_them_too():
    found = selection(method=lambda Z, n, seed: [*range(10), *range(180, 190), *range(230, 240)])
    assert found.weights.tolist() == pytest.approx([2.25] * 10 + [0.625] * 10 + [0.125] * 10)


@pytest.mark.parametrize("suffix", [".npz", ".json"])
@pytest.mark.parametrize("per_class", ["balanced", None])
def test_save_and_load(tmp_path, suffix, per_class):
    found = selection(per_class=per_class)
    back = skmm.Selection.load(found.save(tmp_path / f"s{suffix}"))
    assert back.weights.dtype == np.float64
    assert np.array_equal(back.weights, found.weights)  # to the last bit
    assert np.array_equal(back.indices, found.indices)
    assert "weights" not in back.picture
    again = skmm.Selection.load(back.save(tmp_path / f"again{suffix}"))
    assert np.array_equal(again.weights, found.weights)
    if suffix == ".npz":  # a .json has no picture
        back.plot(tmp_path / "picture.png")


def test_a_file_without_weights_is_of_another_format(tmp_path):
    path = selection().save(tmp_path / "s.json")
    meta = json.loads(path.read_text())
    del meta["weights"]
    path.write_text(json.dumps(meta))
    with pytest.raises(ValueError, match="path: expected a selection of format"):
        skmm.Selection.load(path)


class TestInADiagnosis:
    S = np.array([4, 9, 200, 77, 31, 150, 3, 8])
    OMEGA = np.array([1.0, 3.0, 0.5, 2.0, 1.0, 0.25, 4.0, 1.5])

    def test_they_follow_the_indices(self):
        d = skmm.diagnose(Z, self.S, weights=self.OMEGA, n_random=2)
        for seed in range(4):
            order = np.random.default_rng(seed).permutation(8)
            same = skmm.diagnose(Z, self.S[order], weights=self.OMEGA[order], n_random=2)
            assert str(same) == str(d)
            assert same.mean_error == d.mean_error
        other = skmm.diagnose(Z, self.S, weights=self.OMEGA[::-1], n_random=2)
        assert other.mean_error != pytest.approx(d.mean_error)

    def test_only_their_ratios_count(self):
        d = skmm.diagnose(Z, self.S, weights=self.OMEGA, n_random=0)
        for scale in (1e-20, 8, 1e20):
            same = skmm.diagnose(Z, self.S, weights=scale * self.OMEGA, n_random=0)
            assert same.mean_error == pytest.approx(d.mean_error)
            assert same.effective_size == pytest.approx(d.effective_size)
        equal = skmm.diagnose(Z, self.S, weights=np.full(8, 7), n_random=0)
        assert equal.mean_error == skmm.diagnose(Z, self.S, n_random=0).mean_error
        assert equal.effective_size == 8

    def test_the_effective_size(self):
        d = skmm.diagnose(Z, self.S, weights=self.OMEGA, n_random=0)
        assert d.effective_size == pytest.approx(self.OMEGA.sum() ** 2 / (self.OMEGA**2).sum())

    def test_kinds(self):
        torch = pytest.importorskip("torch")
        d = skmm.diagnose(Z, self.S, weights=self.OMEGA, n_random=1)
        for kind in (list, tuple, torch.from_numpy):
            same = skmm.diagnose(Z, kind(self.S), weights=kind(self.OMEGA), n_random=1)
            assert str(same) == str(d)

    def test_that_of_select(self):
        found = selection()
        d = skmm.diagnose(Z, found.indices, weights=found.weights)
        assert found.diagnosis.mean_error == pytest.approx(d.mean_error)
        assert found.diagnosis.effective_size == pytest.approx(d.effective_size)
        assert found.diagnosis.v_optimality == pytest.approx(d.v_optimality)

    @pytest.mark.parametrize(
        ("weights", "error", "message"),
        [
            ([1.0] * 7, ValueError, r"expected shape \(8,\), got \(7,\)"),
            ([1.0] * 7 + [0.0], ValueError, "expected positive numbers, got 0.0 in 7"),
            ([1.0] * 7 + [-2.0], ValueError, "got -2.0 in 7"),
            ([1.0] * 7 + [np.nan], ValueError, "got nan in 7"),
            ([1.0] * 7 + [np.inf], ValueError, "got inf in 7"),
            (["a"] * 8, TypeError, "expected numbers"),
            ([True] * 8, TypeError, "expected numbers, got bool"),
            (np.ones((8, 1)), ValueError, "expected 1 dimension"),
            (2.0, ValueError, "expected 1 dimension"),
        ],
    )
    def test_errors(self, weights, error, message):
        with pytest.raises(error, match=f"^weights: .*{message}"):
            skmm.diagnose(Z, self.S, weights=weights)
