"""The argument `target` of `select`: what is checked, sketched, refused and recorded."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from support import baseline_reference as naive
from support.problems import check, problems

import skmm_fast as skmm
from skmm_fast.methods.registry import REGISTRY

USERS = [name for name, method in REGISTRY.items() if method.uses_target]
NEEDED = [name for name in USERS if "target" in REGISTRY[name].needs]
WIDE = 300


def sample(N=60, m=5, seed=0, dtype=np.float32):
    return np.random.default_rng(seed).standard_normal((N, m)).astype(dtype)


X, TARGET, OTHER = sample(60, WIDE), sample(9, WIDE, 1), sample(4, WIDE, 2)


def chosen(X, target, method, **options):
    return skmm.select(X, 20, method=method, sketch_dim=8, seed=3, target=target, **options)


@pytest.mark.parametrize("method", USERS)
def test_targets_are_sketched_as_x(method):
    S = skmm.SparseSign(WIDE, 8, seed=3)
    for target, sketched in (
        (TARGET, S.apply(TARGET)),
        ([TARGET, OTHER], [S.apply(TARGET), S.apply(OTHER)]),
    ):
        found = chosen(X, target, method)
        assert np.array_equal(found.indices, chosen(S.apply(X), sketched, method).indices)
        rows = [9, 4] if isinstance(target, list) else [9]
        assert found.settings["n_target"] == rows
    assert not np.array_equal(found.indices, chosen(X, -3 * OTHER + X.mean(0), method).indices)


@pytest.mark.parametrize("method", USERS)
def test_kinds_of_target(method, tmp_path):
    torch = pytest.importorskip("torch")
    expected = chosen(X, TARGET, method).indices
    np.save(tmp_path / "t.npy", TARGET)
    for same in (
        torch.from_numpy(TARGET),
        np.load(tmp_path / "t.npy", mmap_mode="r"),
        [TARGET],
        (TARGET,),
        np.hstack([TARGET, TARGET])[:, :WIDE],
    ):
        assert np.array_equal(chosen(X, same, method).indices, expected)
    assert np.array_equal(chosen(X, sp.csr_array(TARGET), method).indices, expected)


@pytest.mark.parametrize("method", USERS)
def test_unit_rows_scales_the_target_too(method):
    scales = np.float32(2.0) ** np.arange(-4, 5)[:, None]
    found = chosen(X, TARGET * scales, method, unit_rows=True).indices
    assert np.array_equal(found, chosen(X, TARGET, method, unit_rows=True).indices)


@settings(max_examples=60)
@given(problems(), st.sampled_from(USERS), st.integers(1, 3), st.integers(1, 7))
@pytest.mark.filterwarnings("ignore:n = .* < rank")
def test_constraints_are_kept(problem, method, n_tasks, rows):
    Z, y, n, per_class, include, exclude, _ = problem
    target = [sample(rows, Z.shape[1], seed, np.float64) for seed in range(n_tasks)]
    found = skmm.select(
        Z, n, method=method, sketch_dim=Z.shape[1], y=y, per_class=per_class, include=include,
        exclude=exclude, target=target, seed=3,
    )  # fmt: skip
    check(found.indices, problem)


@pytest.mark.parametrize("method", USERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_same_bits_for_any_number_of_threads(method, dtype):
    Z, target = sample(4500, 7, 0, dtype), [sample(30, 7, 1, dtype), sample(5, 7, 2, dtype)]
    first, *others = (
        skmm.select(Z, 20, method=method, target=target, n_threads=k) for k in (1, 2, 3)
    )
    assert len(np.unique(first.indices)) == 20
    for other in others:
        assert np.array_equal(first.indices, other.indices)


@pytest.mark.parametrize(
    "Z",
    [
        np.ones((30, 5)),
        np.vstack([np.zeros((28, 5)), np.eye(5)[:2]]),
        np.repeat(sample(6), 5, axis=0),
        sample(3, 8),
        np.outer(np.arange(1, 31.0), np.ones(5)),
    ],
    ids=["constant", "zeros", "duplicates", "N < m", "rank 1"],
)
@pytest.mark.parametrize("method", USERS)
@pytest.mark.filterwarnings("ignore:n = .* < rank")
def test_degenerate(Z, method):
    N, m = Z.shape
    tasks = [Z[:2], sample(4, m), np.vstack([-np.ones((1, m)), np.ones((1, m))])]
    tasks = [task for task in tasks if task.any()]
    for n in (1, N // 2, N):
        found = skmm.select(Z, n, method=method, sketch_dim=m, target=tasks)
        assert len(np.unique(found.indices)) == n


@pytest.mark.parametrize("method", USERS)
def test_a_selection_is_saved_with_its_options(method, tmp_path):
    selection = chosen(X, [TARGET, OTHER], method)
    back = skmm.Selection.load(selection.save(tmp_path / "s.json"))
    assert back.settings == selection.settings
    assert back.settings["method"] == method


def test_no_target_is_recorded_as_none():
    assert skmm.select(X, 20).settings["n_target"] == []


@pytest.fixture
def unsketched(monkeypatch):
    monkeypatch.setattr(skmm.SparseSign, "_apply", lambda *_a, **_k: pytest.fail("sketched"))


def test_methods_that_do_not_use_it_refuse_it(unsketched):
    assert "glister" in USERS
    for name in REGISTRY.keys() - USERS:
        with pytest.raises(ValueError, match=f"^target: expected None with method '{name}'") as e:
            skmm.select(X, 20, method=name, target=TARGET)
        assert all(repr(user) in str(e.value) for user in USERS)


@pytest.mark.parametrize("method", NEEDED)
def test_methods_that_need_it_say_so(method, unsketched):
    with pytest.raises(ValueError, match=rf"^target: expected .* with method '{method}', got None"):
        skmm.select(X, 20, method=method)


BAD = TARGET.copy()
BAD[2, 7] = np.nan


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (TARGET[:, :9].copy(), r"target: expected rows of 300 entries, got shape \(9, 9\)"),
        ([TARGET, OTHER[:, :9].copy()], r"target\[1\]: expected rows of 300 entries"),
        (TARGET[0], r"target: expected 2 dimension"),
        (TARGET[:0], "target: expected at least one row"),
        ([], "target: expected the rows of at least one task"),
        ([[1.0]], r"target\[0\]: expected 2 dimension"),
        ([[["a"]]], r"target\[0\]: expected rows of numbers, got a list of <U1"),
        ([TARGET, None], r"target\[1\]: expected an array, got NoneType"),
        ("rows", "target: expected an array, got str"),
        (TARGET.astype(complex), "target: expected float16 or float32 or float64"),
    ],
)
def test_a_bad_target_is_named_before_anything_is_sketched(target, message, unsketched):
    for method in USERS:
        with pytest.raises((TypeError, ValueError), match=f"^{message}"):
            skmm.select(X, 20, method=method, target=target)


def test_bad_numbers_of_a_target_are_named():
    for method in USERS:
        with pytest.raises(ValueError, match=r"^target: expected finite .* first in row 2"):
            chosen(X, BAD, method)
        with pytest.raises(ValueError, match=r"^target\[1\]: expected a nonzero entry"):
            chosen(X, [TARGET, 0 * OTHER], method)


def test_glister_takes_the_target_as_validation():
    Z, V, W = sample(80), sample(30, seed=1) + 1, sample(7, seed=2) - 2
    by_target = skmm.select(Z, 20, method="glister", target=V).indices
    assert by_target.tolist() == sorted(naive.glister(Z, 20, V))
    both = skmm.select(Z, 20, method="glister", target=[V, W]).indices
    repeated = np.vstack([np.tile(V, (7, 1)), np.tile(W, (30, 1))])
    assert both.tolist() == sorted(naive.glister(Z, 20, repeated))
    with pytest.raises(ValueError, match=r"^validation: expected None with a target"):
        skmm.select(Z, 20, method="glister", target=V, validation=W)


def test_a_function_of_the_user_sees_the_target():
    seen = []

    def mine(Z, n, seed, target):
        seen.append(target)
        return range(n)

    chosen(X, [TARGET, OTHER], mine)
    chosen(X, None, mine)
    (first, second), none = seen
    S = skmm.SparseSign(WIDE, 8, seed=3)
    assert np.array_equal(first, S.apply(TARGET))
    assert np.array_equal(second, S.apply(OTHER))
    assert none is None
    with pytest.raises(ValueError, match=r"^target: expected None with method .*lambda"):
        chosen(X, TARGET, lambda Z, n, seed: range(n))
