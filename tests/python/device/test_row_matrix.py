"""Selection from tensors where they lie. On the CPU they take the path of a device here."""

import numpy as np
import pytest

import skmm_fast as skmm
from skmm_fast import _core
from skmm_fast._support import tensors
from skmm_fast.methods.registry import REGISTRY
from skmm_fast.pool.host_rows import HostRowMatrix

torch = pytest.importorskip("torch")

from skmm_fast.device import row_matrix
from skmm_fast.device.row_matrix import TensorRowMatrix

N, M = 6000, 12
SOLVERS = ("v-optimal", "moment-matching")  # tested apart
OF_ROWS = [name for name, m in REGISTRY.items() if not m.needs and name not in SOLVERS]
OF_TARGET = [name for name, m in REGISTRY.items() if m.uses_target and name not in SOLVERS]


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
def device(request, monkeypatch):
    """Where tensors lie; passes over them are of several blocks."""
    if request.param == "cpu":
        monkeypatch.setattr(tensors, "on_device", tensors.is_torch)
    elif not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    monkeypatch.setattr(row_matrix, "BLOCK_BYTES", 8 * M * 1000)
    return request.param


def pool(dtype=np.float32, n_rows=N, decay=1.0):
    """Clusters of uneven norms; columns fall by `decay` each."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((10, M))
    Z = centres[rng.integers(0, 10, n_rows)] + rng.standard_t(4, size=(n_rows, M))
    return (Z * decay ** np.arange(M)).astype(dtype)


def there(Z, device):
    return torch.from_numpy(Z).to(device)


LABELS = np.random.default_rng(1).integers(0, 3, N)
CONSTRAINTS = {
    "y": LABELS,
    "per_class": "balanced",
    "include": [5, 4000],
    "exclude": np.arange(100, 900),
}


@pytest.mark.parametrize("method", OF_ROWS)
def test_methods_choose_the_same_rows(device, method):
    """With rows of norm 1 and constraints too; random ones have the same keys."""
    Z = pool(np.float64)
    for options in ({}, {"unit_rows": method != "grand", **CONSTRAINTS}):  # its scores are norms
        expected = skmm.select(Z, 40, method=method, **options)
        found = skmm.select(there(Z, device), 40, method=method, **options)
        assert np.array_equal(found.indices, expected.indices)


@pytest.mark.parametrize("method", OF_TARGET)
def test_methods_choose_the_same_rows_for_a_target(device, method):
    Z, tasks = pool(np.float64), [pool(np.float64, rows) + 1 for rows in (30, 7)]
    for options in ({}, {"unit_rows": True, **CONSTRAINTS}):
        expected = skmm.select(Z, 40, method=method, target=tasks, **options)
        target = [there(tasks[0], device), tasks[1]]
        found = skmm.select(there(Z, device), 40, method=method, target=target, **options)
        assert np.array_equal(found.indices, expected.indices)


def test_unit_rows_of_any_range(device):
    Z = pool(n_rows=200)
    scales = np.float32(10.0) ** np.linspace(-37, 18, 200, dtype=np.float32)
    expected = skmm.select(Z, 40, unit_rows=True).indices
    for given in (Z * scales[:, None], there(Z * scales[:, None], device)):
        assert np.array_equal(skmm.select(given, 40, unit_rows=True).indices, expected)


def check_constraints(indices):
    assert {5, 4000} <= set(indices.tolist())
    assert not np.intersect1d(indices, CONSTRAINTS["exclude"]).size
    counts = np.bincount(LABELS[indices])
    assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_passes_are_those_of_the_core(device, dtype):
    Z, rng = pool(dtype), np.random.default_rng(2)
    host, rows = HostRowMatrix(Z), TensorRowMatrix(there(Z, device))
    s, D, some = rng.random(N), rng.standard_normal((M, 5)), rng.permutation(N)[:2500]
    assert (rows.shape, len(rows), rows.dtype) == (host.shape, len(host), host.dtype)

    def same(method, *arguments):
        found, expected = (getattr(r, method)(*arguments) for r in (rows, host))
        assert found.dtype == expected.dtype
        assert found.shape == expected.shape
        rtol = 1e-6 if expected.dtype == np.float32 else 1e-12
        np.testing.assert_allclose(found, expected, rtol, rtol * np.abs(expected).max())

    for weights in (None, s):
        same("second_moment", weights, 1)
        same("column_squares", weights, 1)
    same("row_norms", D, 1)
    for name in ("dots", "square_dots"):
        same(name, D[:, 0].copy(), 1)
    same("mean")
    for part in (None, some):
        same("gram", D, part)
        np.testing.assert_allclose(
            rows.times(D, part, 1).array(slice(None)),
            host.times(D, part, 1).array(slice(None)),
            rtol=1e-6,
            atol=1e-6,
        )
    for part in (some, some[:0], slice(None, None, 7)):
        assert np.array_equal(rows.array(part), Z[part])
    assert np.array_equal(rows.take(some).array(slice(None)), Z[some])


@pytest.mark.parametrize(
    ("n", "options"),
    [
        (60, {"route": "greedy"}),
        (60, {"route": "greedy", "refine": False, "bound": False}),
        (60, {"sampler": "linear", "block": 7}),
        (300, {"route": "relaxation"}),
        (300, {"route": "relaxation", "refine": False}),
        (300, CONSTRAINTS),
        (45, {**CONSTRAINTS, "route": "greedy"}),
        (N, {}),
    ],
)
def test_v_optimal(device, n, options):
    Z = pool()
    expected = skmm.v_optimal(Z, n, **options)
    found = skmm.v_optimal(there(Z, device), n, **options)
    assert len(np.unique(found.indices)) == n
    assert found.indices.dtype == np.int64
    assert found.route == expected.route
    assert found.objective == pytest.approx(expected.objective, rel=1e-3)
    assert found.lower_bound == pytest.approx(expected.lower_bound, rel=1e-6)
    if "include" in options:
        check_constraints(found.indices)


@pytest.mark.parametrize("over", ["mean", "worst"])
@pytest.mark.parametrize("decay", [1.0, 0.3])  # the latter: W in two steps
def test_v_optimal_for_a_target(device, decay, over):
    Z = pool(np.float64, decay=decay)
    tasks = [pool(np.float64, rows, decay) + 1 for rows in (30, 7)]
    options = {"method": "v-optimal", "over_targets": over, "refine": False, **CONSTRAINTS}
    expected = skmm.select(Z, 300, target=tasks, **options).settings["solver"]
    kept = there(Z.copy(), device)
    found = skmm.select(kept, 300, target=[there(tasks[0], device), tasks[1]], **options)
    check_constraints(found.indices)
    for name in ("target_v_optimality", "target_lower_bound"):
        assert found.settings["solver"][name] == pytest.approx(expected[name], rel=1e-2)
    assert np.array_equal(kept.cpu().numpy(), Z)


def test_v_optimal_where_rows_cannot_span_or_nearly_do_not(device):
    with pytest.warns(UserWarning, match="n = 7 < rank"):
        found = skmm.v_optimal(there(pool(), device), 7)
    assert (len(found.indices), found.ridge) == (7, 1.0)
    Z = pool(np.float64, decay=0.3)  # W in two steps
    found, expected = skmm.v_optimal(there(Z, device), 80), skmm.v_optimal(Z, 80)
    assert found.objective == pytest.approx(expected.objective, rel=1e-3)
    assert found.lower_bound == pytest.approx(expected.lower_bound, rel=1e-4)


@pytest.mark.parametrize(
    "options", [{"c_s": 0.9}, {"c_s": 0.3, "weighting": "relative"}, {"c_s": 0.8, **CONSTRAINTS}]
)
def test_match_moments(device, options):
    Z, n = pool(), 90
    expected = skmm.match_moments(Z, n, **options)
    found = skmm.match_moments(there(Z, device), n, **options)
    assert found.converged
    assert found.start_objective == pytest.approx(expected.start_objective)
    slack = 1e-3 * expected.objective + expected.gap + found.gap
    assert abs(found.objective - expected.objective) <= slack
    assert found.s.sum() == pytest.approx(1)
    assert found.s.min() >= 0
    assert found.s.max() <= (1 + 1e-9) / n
    if "include" in options:
        assert np.all(found.s[[5, 4000]] == 1 / n)
        assert not found.s[CONSTRAINTS["exclude"]].any()


def test_diagnose_and_moments(device):
    Z = pool()
    mine, theirs = skmm.moments(there(Z, device)), skmm.moments(Z)
    np.testing.assert_allclose(mine.eigenvalues, theirs.eigenvalues, rtol=1e-10)
    assert (mine.rank, mine.intrinsic_dim) == (theirs.rank, theirs.intrinsic_dim)
    S = np.arange(0, N, 50)
    found, expected = skmm.diagnose(there(Z, device), S), skmm.diagnose(Z, S)
    for name, value in vars(expected).items():
        if name in ("warnings", "class_counts"):
            assert getattr(found, name) == value
        else:
            np.testing.assert_allclose(getattr(found, name), value, rtol=1e-6, err_msg=name)


@pytest.mark.parametrize(
    "options",
    [{}, {"method": "moment-matching", "c_s": 0.9, "refine": True, "include": [5, 4000]}],
)
def test_select_leaves_the_pool_where_it_is(device, options, monkeypatch):
    Z, copied = pool(n_rows=4 * N), []
    here = row_matrix._here
    monkeypatch.setattr(row_matrix, "_here", lambda x: copied.append(x.numel()) or here(x))
    expected = skmm.select(Z, 120, **options)
    found = skmm.select(there(Z, device), 120, **options)
    assert max(copied) < Z.size / 2  # vectors of N, and the rows of a round of exchanges
    assert len(np.unique(found.indices)) == 120
    assert found.diagnosis.v_optimality == pytest.approx(expected.diagnosis.v_optimality, rel=1e-3)
    assert found.diagnosis.lower_bound == pytest.approx(expected.diagnosis.lower_bound, rel=1e-6)
    np.testing.assert_allclose(
        np.abs(found.picture["pool"]), np.abs(expected.picture["pool"]), rtol=1e-5, atol=1e-5
    )
    assert np.array_equal(skmm.select(there(Z, device), 120, **options).indices, found.indices)
    assert {5, 4000} <= set(found.indices.tolist()) or not options


@pytest.mark.parametrize("kind", ["sparse-sign", "grouped-sign", "gaussian"])
def test_select_sketches_where_the_gradients_are(device, kind):
    pytest.importorskip("skmm_fast.device.gamma")
    G = np.random.default_rng(3).standard_normal((400, 3 * M)).astype(np.float32)
    found = skmm.select(there(G, device), 50, sketch_dim=M, sketch=kind)
    expected = skmm.select(G, 50, sketch_dim=M, sketch=kind)
    assert found.settings["sketch_dim"] == M
    assert found.diagnosis.v_optimality == pytest.approx(expected.diagnosis.v_optimality, rel=1e-3)


def test_select_takes_half_precision(device):
    X = there(pool(n_rows=500), device).to(torch.bfloat16)
    found, same = skmm.select(X, 60), skmm.select(X.float(), 60)
    assert np.array_equal(found.indices, same.indices)


def test_errors(device):
    Z = there(pool(n_rows=50), device)
    bad = Z.clone()
    bad[[7, 9]] = float("nan")
    with pytest.raises(ValueError, match="Z: expected finite values, got NaN or Inf in 2 of 50 rows"
                       ", first in row 7"):  # fmt: skip
        skmm.moments(bad)
    with pytest.raises(ValueError, match="X: expected a nonzero entry"):
        skmm.select(torch.zeros_like(Z), 5, sketch_dim=M)
    with pytest.raises(TypeError, match=r"Z: .* float32 or float64, got torch.strided of .*int32"):
        skmm.diagnose(Z.int(), [1])
    with pytest.raises(TypeError, match=r"X: .* got torch.sparse_coo"):
        skmm.select(Z.to_sparse(), 5)
    with pytest.raises(ValueError, match=r"Z: expected 2 dimension\(s\), got shape \(50,\)"):
        skmm.v_optimal(Z[:, 0], 5)
    with pytest.raises(ValueError, match=r"Z: expected at least one row .* got shape \(0, 12\)"):
        skmm.match_moments(Z[:0], 5)


def test_a_pass_that_fails_ends_the_solver():
    class Broken(TensorRowMatrix):
        def square_dots(self, u, threads):
            raise KeyError("lost")

        def row_norms(self, D, threads):
            return np.zeros(3)

    rows, s = Broken(torch.from_numpy(pool())), np.full(N, 1 / N)
    limits = _core.Constraints(N, None, [10], [])
    with pytest.raises(KeyError, match="lost"):
        _core.match_moments(rows, np.full(M, 1e3), np.ones(M), limits, s, 1e-6, 9, 1)
    options = (limits, 1, _core.Sampler.greedy, 0.1, 1.0, True, 0.0, 0.0, 0, [], 1)
    with pytest.raises(ValueError, match="results of the right sizes"):
        _core.v_optimal(rows, np.eye(M), *options)


@pytest.mark.cuda
def test_little_memory_of_the_device_is_needed_beside_the_pool():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    Z = torch.randn((400_000, 128), device="cuda")
    skmm.select(Z[:1000], 500)  # the workspace of the BLAS stays
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    skmm.select(Z, 500)
    assert torch.cuda.max_memory_allocated() - before < 256e6
