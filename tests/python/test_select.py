"""The one call and what it returns."""

import json

import numpy as np
import pytest
import scipy.sparse as sp

import skmm_fast as skmm

X = np.random.default_rng(0).standard_normal((120, 300)).astype(np.float32)
y = np.arange(120) % 4


@pytest.mark.parametrize("method", ["v-optimal", "moment-matching"])
@pytest.mark.parametrize("sketch", ["sparse-sign", "gaussian"])
def test_selection(method, sketch):
    options = {"sketch": sketch, "include": [5, 9], "exclude": [0, 1], "seed": 4}
    sel = skmm.select(X, 40, method=method, **options)
    assert sel.indices.dtype == np.int64
    assert len(sel.indices) == 40
    assert np.all(np.diff(sel.indices) > 0)
    assert {5, 9} <= set(sel.indices)
    assert not {0, 1} & set(sel.indices)
    assert sel.settings["sketch_dim"] == 20
    assert sel.settings["sketch"] == sketch
    again = skmm.select(
        X, 40, method=method, sketch=sketch, include=[5, 9], exclude=[0, 1], seed=4, n_threads=1
    )
    assert np.array_equal(sel.indices, again.indices)
    assert sel.diagnosis.v_optimality == again.diagnosis.v_optimality


def test_the_steps_by_hand_give_the_same():
    Z = skmm.SparseSign(300, 20, seed=7).apply(X)
    sel = skmm.select(X, 40, method="v-optimal", seed=7)
    assert np.array_equal(sel.indices, skmm.v_optimal(Z, 40, seed=7).indices)
    assert sel.diagnosis.v_optimality == skmm.diagnose(Z, sel.indices).v_optimality
    s = skmm.match_moments(Z, 40, c_s=0.9, seed=7).s
    by_moments = skmm.select(X, 40, method="moment-matching", c_s=0.9, seed=7)
    order = np.argsort(Z.astype(float) @ skmm.moments(Z).eigenvectors[:, 0])
    assert np.array_equal(
        by_moments.indices, skmm.draw(s, 40, method="systematic", seed=7, order=order)
    )


def test_narrow_input_is_not_sketched():
    sel = skmm.select(X[:, :10].copy(), 40, method="v-optimal")
    assert sel.settings["sketch"] is None
    assert sel.settings["sketch_dim"] == 10
    assert np.array_equal(sel.indices, skmm.v_optimal(X[:, :10].copy(), 40).indices)


def test_few_rows_of_wide_input_get_a_narrow_sketch():
    sel = skmm.select(X, 5, method="v-optimal")
    assert sel.settings["sketch_dim"] == 2
    assert np.isfinite(sel.diagnosis.v_optimality)


def test_v_optimal_beats_uniform_draws():
    Z = np.random.default_rng(1).standard_t(3, size=(1000, 12))
    d = skmm.select(Z, 60, method="v-optimal").diagnosis
    assert d.lower_bound <= d.v_optimality < d.random_v_optimality.min()


def test_kinds_of_input(tmp_path):
    torch = pytest.importorskip("torch")
    expected = skmm.select(X, 30).indices
    np.save(tmp_path / "x.npy", X)
    for same in (torch.from_numpy(X), np.load(tmp_path / "x.npy", mmap_mode="r")):
        assert np.array_equal(skmm.select(same, 30).indices, expected)
    sparse = skmm.select(sp.csr_array(X), 30).indices
    assert len(set(sparse) & set(expected)) >= 27  # CSR sums in another order


def test_y_is_checked_even_where_it_is_not_used():
    with pytest.raises(ValueError, match="y: expected shape"):
        skmm.select(X, 30, y=y[:5])


def test_moment_matching_says_whether_it_converged():
    sel = skmm.select(X, 30, method="moment-matching", c_s=0.5, max_iter=2)
    assert sel.settings["solver"]["converged"] is False
    assert sel.settings["solver"]["gap"] > 0
    assert any("did not converge" in w for w in sel.diagnosis.warnings)
    done = skmm.select(X, 30, method="moment-matching", weighting="relative", max_iter=20_000)
    assert done.settings["solver"]["converged"] is True
    assert not any("did not converge" in w for w in done.diagnosis.warnings)


def test_infinite_figures_are_saved_and_loaded(tmp_path):
    with pytest.warns(UserWarning, match="n = 5 < rank"):
        sel = skmm.select(X, 5, method="v-optimal", sketch_dim=20)
    assert sel.diagnosis.v_optimality == np.inf
    assert "do not span Z" in str(sel.diagnosis)
    for suffix in (".npz", ".json"):
        back = skmm.Selection.load(sel.save(tmp_path / f"s{suffix}"))
        assert str(back.diagnosis) == str(sel.diagnosis)
    json.loads((tmp_path / "s.json").read_text(), parse_constant=lambda name: pytest.fail(name))


@pytest.mark.parametrize("suffix", ["", ".npz", ".json"])
def test_save_and_load(tmp_path, suffix):
    counts = {np.int64(c): np.int64(k) for c, k in enumerate((6, 7, 8, 9))}
    sel = skmm.select(
        X, np.int64(30), method="v-optimal", y=y, per_class=counts, seed=3,
        temperature=np.float32(0.5),
    )  # fmt: skip
    path = sel.save(tmp_path / f"selection{suffix}")
    assert path.exists()
    assert [p.name for p in tmp_path.iterdir()] == [f"selection{suffix or '.npz'}"]
    back = skmm.Selection.load(tmp_path / f"selection{suffix}")
    assert np.array_equal(back.indices, sel.indices)
    assert back.settings == sel.settings
    assert str(back.diagnosis) == str(sel.diagnosis)
    assert np.array_equal(back.diagnosis.random_v_optimality, sel.diagnosis.random_v_optimality)
    if suffix == ".json":
        with pytest.raises(ValueError, match="plot: expected a selection with a picture"):
            back.plot()
    else:
        back.plot(tmp_path / "p.png")


def test_a_failed_save_leaves_nothing(tmp_path, monkeypatch):
    sel = skmm.select(X, 30)
    sel.save(tmp_path / "a.npz")
    before = (tmp_path / "a.npz").read_bytes()

    def fail(*_args, **_kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(OSError, match="disk full"):
        sel.save(tmp_path / "a.npz")
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]
    assert (tmp_path / "a.npz").read_bytes() == before


def test_load_refuses_other_files(tmp_path):
    np.savez(tmp_path / "other.npz", a=np.ones(3))
    np.save(tmp_path / "array", np.ones(3))
    (tmp_path / "array.npy").rename(tmp_path / "array.npz")
    (tmp_path / "other.json").write_text(json.dumps({"format": 99}))
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "text.npz").write_text("text")
    for name in ("other.npz", "array.npz", "text.npz", "other.json", "broken.json"):
        with pytest.raises(ValueError, match="path: expected a selection of format"):
            skmm.Selection.load(tmp_path / name)


def test_subset():
    torch = pytest.importorskip("torch")
    sel = skmm.select(X, 30)
    assert np.array_equal(sel.subset(X), X[sel.indices])
    assert np.array_equal(sel.subset(sp.csr_array(X)).toarray(), X[sel.indices])
    assert sel.subset(list(range(120))) == sel.indices.tolist()
    dataset = torch.utils.data.TensorDataset(torch.arange(120))
    assert [int(sample[0]) for sample in sel.subset(dataset)] == sel.indices.tolist()

    class HuggingFaceLike:
        shape, column_names = (120, 2), ["a", "b"]

        def __len__(self):
            return 120

        def select(self, indices):
            return ("selected", list(indices))

    assert sel.subset(HuggingFaceLike()) == ("selected", sel.indices.tolist())


def test_plot(tmp_path):
    path = tmp_path / "picture.png"
    figure = skmm.select(X, 30).plot(path)
    assert len(figure.axes) == 3
    assert path.read_bytes().startswith(b"\x89PNG")
    skmm.select(np.ones((20, 1)) * np.arange(1, 21)[:, None], 4).plot(path)  # one dimension


def test_moment_matching_can_be_polished():
    Z = np.random.default_rng(2).standard_t(3, size=(1000, 12))
    drawn = skmm.select(Z, 60, method="moment-matching")
    polished = skmm.select(Z, 60, method="moment-matching", refine=True)
    assert polished.settings["solver"]["n_swaps"] > 0
    bound = polished.diagnosis.lower_bound
    assert bound <= polished.diagnosis.v_optimality <= 1.05 * bound
    assert drawn.diagnosis.v_optimality > 1.2 * bound


def test_progress(capsys):
    skmm.select(X, 30, method="v-optimal", progress=True)
    shown = capsys.readouterr().err
    assert "sketch" in shown
    assert "choose rows" in shown
    assert "select 30 of 120 rows, m = 15, v-optimal: about" in shown


def test_each_phase_has_a_bar_and_none_claims_a_total_that_it_does_not_know(capsys):
    pytest.importorskip("tqdm")
    Z = np.random.default_rng(1).standard_normal((300, 6))
    found = skmm.select(Z, 40, method="v-optimal", progress=True)
    lines = capsys.readouterr().err.splitlines()

    def last(name):
        return [line for line in lines if line.startswith(f"{name}: ")][-1]

    def count(name):
        return float(last(name).removeprefix(f"{name}: ").split()[0])

    assert "100% 40.0/40.0" in last("choose rows")
    swaps = found.settings["solver"]["n_swaps"]
    assert swaps > 0
    assert count("exchanges") == swaps
    assert count("relaxation") > 2
    assert "100% 8.00/8.00" in last("uniform draws")
    assert not any("%" in line for line in lines if line.startswith(("relaxation", "exchanges")))

    found = skmm.select(Z, 40, method="moment-matching", progress=True)
    passes = found.settings["solver"]["n_passes"]
    lines = capsys.readouterr().err.splitlines()
    assert count("match moments") == passes
    assert count("bound") > 2


@pytest.mark.parametrize("sketch_dim", [16, None])
def test_sixteen_bit_rows(sketch_dim):
    torch = pytest.importorskip("torch")
    X = torch.randn(200, 40, generator=torch.Generator().manual_seed(0)).bfloat16()
    expected = skmm.select(X.float(), 90, sketch_dim=sketch_dim).indices
    assert np.array_equal(skmm.select(X, 90, sketch_dim=sketch_dim).indices, expected)
    half = skmm.select(X.half().numpy(), 90, sketch="grouped-sign").indices
    assert np.array_equal(half, skmm.select(X.half().float(), 90, sketch="grouped-sign").indices)


def test_narrow_rows_need_no_sketch_of_eight():
    X = np.random.default_rng(0).standard_normal((30, 5))
    assert len(skmm.select(X, 10, sketch="grouped-sign", sketch_dim=5).indices) == 10


def tensor(a):
    return pytest.importorskip("torch").from_numpy(a)


@pytest.mark.parametrize("sketch_dim", [None, 6])
@pytest.mark.parametrize("kind", [np.array, sp.csr_array, tensor])
def test_unit_rows(kind, sketch_dim, tmp_path):
    """As if the rows of Z had been divided by their norms; X stays."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((120, 10)) * rng.exponential(1, (120, 1)) ** 3
    X[7] = 0
    Z = X if sketch_dim is None else skmm.SparseSign(10, 6, seed=4).apply(X)
    norms = np.linalg.norm(Z, axis=1, keepdims=True)
    expected = skmm.select(Z / np.where(norms > 0, norms, 1), 20, seed=4)
    given = kind(X.copy())
    options = {"sketch_dim": sketch_dim, "seed": 4, "unit_rows": True}
    for scratch in (None, tmp_path):
        selection = skmm.select(given, 20, scratch_dir=scratch, **options)
        assert np.array_equal(selection.indices, expected.indices)
        assert selection.diagnosis.v_optimality == pytest.approx(expected.diagnosis.v_optimality)
        assert selection.settings["unit_rows"]
    as_it_was = given.toarray() if sp.issparse(given) else np.asarray(given)
    assert np.array_equal(as_it_was, X)
    assert not np.array_equal(skmm.select(given, 20, seed=4).indices, expected.indices)


def test_unit_rows_of_bad_numbers():
    X = np.ones((9, 2))
    X[4, 1] = np.nan
    with pytest.raises(ValueError, match="X: expected finite values, got NaN or Inf in 1 of 9"):
        skmm.select(X, 3, unit_rows=True)
    with pytest.raises(TypeError, match="unit_rows: expected True or False, got 1"):
        skmm.select(np.eye(5), 3, unit_rows=1)
