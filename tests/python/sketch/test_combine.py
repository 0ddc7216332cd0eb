"""`combine`: sketches at several checkpoints side by side."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import skmm_fast as skmm
from skmm_fast._support.float16_rows import Float16Rows, scaled_halves
from skmm_fast.gradients import GradientSketcher, sketch_dataset

N = 40
A, B = (np.random.default_rng(k).standard_normal((N, 6)).astype(np.float32) for k in (0, 1))


def stores(tmp_path, data=(0, 0)):
    """Stores at two checkpoints, of these data sets."""
    found = []
    for k, seed in enumerate(data):
        torch.manual_seed(seed)
        samples = torch.utils.data.TensorDataset(torch.randn(N, 4), torch.arange(N) % 3)
        torch.manual_seed(10 + k)
        sketcher = GradientSketcher(torch.nn.Linear(4, 3).eval(), params="all", sketch_dim=8)
        found.append(
            sketch_dataset(sketcher, samples, tmp_path / str(k), shard_rows=16, progress=False)
        )
    return found


def test_products_are_weighted_sums():
    both = skmm.combine([A, B], weights=[3, 0.5])
    gram = np.asarray(both).astype(np.float64)
    np.testing.assert_allclose(gram @ gram.T, 3 * A @ A.T + 0.5 * B @ B.T, rtol=1e-4, atol=1e-4)
    assert np.array_equal(np.asarray(skmm.combine([A, B])), np.hstack([A, B]))


def test_types():
    narrow = Float16Rows(scaled_halves(B)[0], scaled=True)
    for part, entry_error in ((B.astype(np.float64), 0), (B.astype(np.float16), 2**-11)):
        both = skmm.combine([A, part])
        assert both.dtype == np.result_type(A, part)
        assert both.entry_error == entry_error
    both = skmm.combine((torch.from_numpy(A), narrow))
    assert both.dtype == np.float32
    assert np.array_equal(np.asarray(both), np.hstack([A, np.asarray(narrow)]))


def test_stores(tmp_path):
    early, late = stores(tmp_path)
    both = skmm.combine([early, late], weights=[2, 1])
    scaled = np.hstack([early.array() * np.float32(np.sqrt(2)), late.array()])
    assert np.array_equal(np.asarray(both), scaled)
    assert isinstance(both.parts[0], np.memmap)
    chosen = skmm.select(both, 20, method="v-optimal")
    assert np.array_equal(chosen.indices, skmm.select(scaled, 20, method="v-optimal").indices)


def test_stores_of_other_data_sets(tmp_path):
    early, late = stores(tmp_path, data=(0, 1))
    with pytest.raises(ValueError, match=r"^parts: expected stores of one data set.*dataset_"):
        skmm.combine([early, late])
    assert skmm.combine([early.array(), late.array()]).shape == (N, 16)


def test_errors(tmp_path):
    early, _ = stores(tmp_path)
    (tmp_path / "0" / "shard-00001.npy").unlink()
    for parts, weights, error, said in (
        (A, None, TypeError, "^parts: expected a list of stores or arrays, got ndarray"),
        ([], None, ValueError, "^parts: expected at least one"),
        ([A, "path"], None, TypeError, r"^parts\[1\]: expected an array, got str"),
        ([A, B[:9]], None, ValueError, r"^parts\[1\]: expected 40 rows, got 9"),
        ([A, B], [1], ValueError, "^weights: expected 2 numbers"),
        ([A, B], [1, 0], ValueError, "^weights: expected positive numbers"),
        ([A, B], [1, 1e-100], ValueError, "^weights: expected roots that are numbers of float32"),
        ([A, B], [1e80, 1], ValueError, "^weights: expected roots .* got 1e\\+80 in 0"),
        ([A, B], [1, np.nan], ValueError, "^weights: expected positive numbers"),
        ([A, B], ["a", "b"], ValueError, "^weights: expected 2 numbers"),
        ([early], None, ValueError, "expected a complete store"),
    ):
        with pytest.raises(error, match=said):
            skmm.combine(parts, weights)
