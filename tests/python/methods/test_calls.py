"""Every method of `select` beyond the two of the paper: inputs, constraints, threads, errors."""

from functools import partial

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support import baseline_reference as naive
from support.problems import check, problems

import skmm_fast as skmm
from skmm_fast.methods.leverage import inclusion

pytestmark = pytest.mark.filterwarnings("ignore:n = .* < rank")
C = 4
NEEDS = {
    "uniform": (),
    "herding": (),
    "k-center": (),
    "adaptive": (),
    "t-leverage": (),
    "r-leverage": (),
    "grand": (),
    "glister": (),
    "class-balanced": ("y",),
    "entropy": ("probs",),
    "margin": ("probs",),
    "least-confidence": ("logits",),
    "contextual-diversity": ("logits",),
    "el2n": ("probs", "y"),
    "deepfool": ("logits", "head"),
    "forgetting": ("record",),
}
METHODS = list(NEEDS)


def inputs(method, N, seed=0):
    """What the method needs beside X."""
    rng = np.random.default_rng(seed)
    logits = rng.standard_normal((N, C)).astype(np.float32)
    everything = {
        "y": rng.permutation(np.arange(N) % C),
        "logits": logits,
        "probs": naive.softmax(logits.astype(float)),
        "head": rng.standard_normal((C, 7)),
        "record": rng.random((5, N)) < 0.6,
    }
    return {name: everything[name] for name in NEEDS[method]}


def sample(N=60, m=5, dtype=np.float32):
    return np.random.default_rng(1).standard_t(3, size=(N, m)).astype(dtype)


@settings(max_examples=150)
@given(problems(), st.sampled_from(METHODS), st.sampled_from([np.float32, np.float64]))
def test_constraints_are_kept(problem, method, dtype):
    Z, y, n, per_class, include, exclude, counts = problem
    names = np.unique(y).tolist()
    y, Z = np.array([names.index(c) for c in y]), Z.astype(dtype)
    counts = {names.index(c): k for c, k in counts.items()}
    if isinstance(per_class, dict):
        per_class = {names.index(c): k for c, k in per_class.items()}
    options = {**inputs(method, len(Z)), "y": y, "per_class": per_class}
    if method == "class-balanced":
        assume(per_class == "balanced")
        del options["per_class"]
    found = skmm.select(
        Z,
        n,
        method=method,
        sketch_dim=Z.shape[1],
        include=include,
        exclude=exclude,
        seed=3,
        **options,
    )
    check(found.indices, (Z, y, n, per_class, include, exclude, counts))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_same_bits_for_any_number_of_threads(method, dtype):
    X = sample(4500, 7, dtype)
    options = inputs(method, len(X))
    first, *others = (skmm.select(X, 14, method=method, n_threads=k, **options) for k in (1, 2, 3))
    assert len(np.unique(first.indices)) == 14
    for other in others:
        assert np.array_equal(first.indices, other.indices)


@pytest.mark.parametrize("method", METHODS)
def test_kinds_of_input(method, tmp_path):
    torch = pytest.importorskip("torch")
    X = np.where(sample() > 1, sample(), 0)
    options = {"seed": 2, "sketch_dim": 5, **inputs(method, len(X))}
    expected = skmm.select(X, 20, method=method, **options).indices
    np.save(tmp_path / "x.npy", X)
    wide = np.hstack([X, X])
    for same in (
        torch.from_numpy(X),
        np.load(tmp_path / "x.npy", mmap_mode="r"),
        sp.csr_array(X),
        wide[:, :5],
    ):
        assert np.array_equal(skmm.select(same, 20, method=method, **options).indices, expected)
    tensors = {
        k: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for k, v in options.items()
    }
    assert np.array_equal(skmm.select(X, 20, method=method, **tensors).indices, expected)


@pytest.mark.parametrize("method", METHODS)
def test_wide_rows_are_sketched(method):
    X = sample(60, 300)
    options = inputs(method, 60)
    selection = skmm.select(X, 30, method=method, sketch_dim=12, seed=5, **options)
    Z = skmm.SparseSign(300, 12, seed=5).apply(X)
    assert np.array_equal(
        selection.indices, skmm.select(Z, 30, method=method, seed=5, **options).indices
    )
    assert selection.settings["method"] == method
    assert selection.settings["sketch_dim"] == 12


@pytest.mark.parametrize("method", METHODS)
def test_a_selection_is_saved_with_its_options(method, tmp_path):
    selection = skmm.select(sample(), 20, method=method, **inputs(method, 60))
    back = skmm.Selection.load(selection.save(tmp_path / "s.json"))
    assert np.array_equal(back.indices, selection.indices)
    assert back.settings == selection.settings


@pytest.mark.parametrize(
    "X",
    [
        np.ones((30, 5)),
        np.vstack([np.zeros((28, 5)), np.eye(5)[:2]]),
        np.repeat(sample(6), 5, axis=0),
        sample(3, 8),
        np.outer(np.arange(1, 31.0), np.ones(5)),
    ],
    ids=["constant", "zeros", "duplicates", "N < m", "rank 1"],
)
@pytest.mark.parametrize("method", METHODS)
def test_degenerate(X, method):
    N = len(X)
    options = inputs(method, N) | ({"y": np.zeros(N, int)} if "y" in NEEDS[method] else {})
    for n in (1, N // 2, N):
        assert len(np.unique(skmm.select(X, n, method=method, **options).indices)) == n


class TestAFunctionOfTheUser:
    def test_is_called_once_with_the_sketch(self):
        calls = []

        def last(Z, n, seed, *, skip=0):
            calls.append((Z, n, seed, skip))
            return np.arange(len(Z) - skip - n, len(Z) - skip)[::-1]

        X = sample(60, 300)
        selection = skmm.select(X, 10, method=last, sketch_dim=12, seed=7, skip=3)
        assert selection.indices.tolist() == list(range(47, 57))
        ((Z, n, seed, skip),) = calls
        assert (n, seed, skip) == (10, 7, 3)
        assert np.array_equal(Z, skmm.SparseSign(300, 12, seed=7).apply(X))
        assert Z.dtype == np.float32
        assert selection.diagnosis.v_optimality > 0

    def test_may_return_a_list(self, tmp_path):
        selection = skmm.select(sample(), 5, method=lambda Z, n, seed: [9, 1, 2, 8, 3])
        assert selection.indices.dtype == np.int64
        assert selection.indices.tolist() == [1, 2, 3, 8, 9]
        selection.save(tmp_path / "s.npz")
        selection.plot(tmp_path / "s.png")

    @pytest.mark.parametrize(
        "result",
        [
            [0, 1, 2, 3],
            [0, 1, 2, 3, 4, 5],
            [0, 1, 2, 3, 3],
            [0, 1, 2, 3, 60],
            [0, 1, 2, 3, -1],
            [0, 1, 2, 3, 11],  # excluded
            [0, 1, 2, 4, 5],  # without 3
            [0.0, 1.0, 2.0, 3.0, 4.5],
            [[0, 1, 2, 3, 4]],
            None,
            "five",
            np.arange(60) < 5,
        ],
        ids=str,
    )
    def test_must_return_n_rows(self, result):
        with pytest.raises((ValueError, TypeError), match=r"^method: "):
            skmm.select(sample(), 5, method=lambda *_: result, include=[3], exclude=[11])

    def test_must_keep_the_counts_of_the_classes(self):
        with pytest.raises(ValueError, match=r"^method: "):
            skmm.select(
                sample(),
                4,
                method=lambda *_: [0, 2, 4, 6],
                y=np.arange(60) % 2,
                per_class="balanced",
            )

    def test_may_be_an_object_without_a_name(self):
        def some(Z, n, seed, first):
            return range(first, first + n)

        class Last:
            def __call__(self, Z, n, seed):
                return range(len(Z) - n, len(Z))

        partly = skmm.select(sample(), 5, method=partial(some, first=7))
        assert partly.indices.tolist() == [7, 8, 9, 10, 11]
        assert skmm.select(sample(), 5, method=Last()).indices.tolist() == [55, 56, 57, 58, 59]

    def test_its_errors_come_through(self):
        def fails(Z, n, seed):
            raise ZeroDivisionError("mine")

        with pytest.raises(ZeroDivisionError, match="mine"):
            skmm.select(sample(), 5, method=fails)


N = 60
P, LOGITS = (
    inputs(method, N)[name] for method, name in (("entropy", "probs"), ("deepfool", "logits"))
)
HEAD, RECORD = inputs("deepfool", N)["head"], inputs("forgetting", N)["record"]


def spoilt(a, value, at=(2, 1)):
    a = a.copy()
    a[at] = value
    return a


ERRORS = [
    # what is missing
    *((method, {}, "probs") for method in ("entropy", "margin", "least-confidence")),
    ("contextual-diversity", {}, "probs"),
    ("el2n", {"y": np.arange(N) % C}, "probs"),
    ("el2n", {"probs": P}, "y"),
    ("deepfool", {"head": HEAD}, "logits"),
    ("deepfool", {"logits": LOGITS}, "head"),
    ("forgetting", {}, "record"),
    ("class-balanced", {}, "y"),
    # probs, logits
    ("entropy", {"probs": P[:-1]}, "probs"),
    ("entropy", {"probs": P[0]}, "probs"),
    ("entropy", {"probs": P.tolist()}, "probs"),
    ("entropy", {"probs": P * 1.01}, "probs"),
    ("entropy", {"probs": LOGITS}, "probs"),
    ("margin", {"probs": spoilt(P, np.nan)}, "probs"),
    ("margin", {"probs": spoilt(P, -0.1)}, "probs"),
    ("contextual-diversity", {"probs": P[:, :3]}, "probs"),
    ("least-confidence", {"logits": spoilt(LOGITS, np.nan)}, "logits"),
    ("least-confidence", {"logits": spoilt(LOGITS, np.inf)}, "logits"),
    ("least-confidence", {"logits": LOGITS[1:]}, "logits"),
    ("el2n", {"probs": P, "y": np.arange(N)}, "y"),
    ("el2n", {"probs": P, "y": np.full(N, -1)}, "y"),
    ("el2n", {"probs": P, "y": np.zeros(N - 1, int)}, "y"),
    ("el2n", {"probs": P, "y": np.zeros(N) + 0.5}, "y"),
    # deepfool, forgetting
    ("deepfool", {"logits": LOGITS[1:], "head": HEAD}, "logits"),
    ("deepfool", {"logits": LOGITS, "head": HEAD[:3]}, "head"),
    ("deepfool", {"logits": LOGITS, "head": HEAD[0]}, "head"),
    ("deepfool", {"logits": LOGITS, "head": spoilt(HEAD, np.nan)}, "head"),
    ("forgetting", {"record": RECORD[:, 1:]}, "record"),
    ("forgetting", {"record": RECORD.T.copy()}, "record"),
    ("forgetting", {"record": RECORD[0]}, "record"),
    ("forgetting", {"record": RECORD[:1]}, "record"),  # one epoch has no before and after
    ("forgetting", {"record": RECORD + 0.5}, "record"),
    # glister, leverage
    ("glister", {"validation": np.ones((9, 4), np.float32)}, "validation"),
    ("glister", {"validation": np.ones(5, np.float32)}, "validation"),
    ("glister", {"validation": np.empty((0, 5), np.float32)}, "validation"),
    ("glister", {"validation": spoilt(sample(), np.nan)}, "validation"),
    ("glister", {"validation": "X"}, "validation"),
    ("glister", {"eta": -1.0}, "eta"),
    ("glister", {"eta": np.nan}, "eta"),
    ("glister", {"eta": "1"}, "eta"),
    ("t-leverage", {"rank": 0}, "rank"),
    ("t-leverage", {"rank": 6}, "rank"),
    ("t-leverage", {"rank": 1.5}, "rank"),
    ("r-leverage", {"ridge": -1.0}, "ridge"),
    ("r-leverage", {"ridge": np.inf}, "ridge"),
    ("r-leverage", {"ridge": True}, "ridge"),
    # options of other methods
    ("herding", {"temperature": 1.0}, "temperature"),
    ("uniform", {"probs": P}, "probs"),
    ("k-center", {"rank": 2}, "rank"),
    ("entropy", {"probs": P, "head": HEAD}, "head"),
    ("forgetting", {"record": RECORD, "logits": LOGITS}, "logits"),
    ("kcenter", {}, "method"),
    (5, {}, "method"),
    (None, {}, "method"),
]


@pytest.mark.parametrize(
    ("method", "options", "name"), ERRORS, ids=[f"{m}: {', '.join(o)}" for m, o, _ in ERRORS]
)
def test_errors_name_the_argument(method, options, name):
    with pytest.raises((TypeError, ValueError), match=rf"^{name}: expected "):
        skmm.select(sample(), 20, method=method, **options)


def test_probs_and_logits_are_not_both_given():
    with pytest.raises((TypeError, ValueError), match=r"^(probs|logits): "):
        skmm.select(sample(), 20, method="entropy", probs=P, logits=LOGITS)


@pytest.mark.parametrize(
    ("method", "options", "name"),
    [
        ("entropy", {}, "probs"),
        ("v-optimal", {"sampler": "bogus"}, "sampler"),
        ("v-optimal", {"tol": -1}, "tol"),
        ("moment-matching", {"c_s": -1}, "c_s"),
        ("r-leverage", {"ridge": -1}, "ridge"),
        ("t-leverage", {"rank": 0}, "rank"),
        ("glister", {"eta": -1}, "eta"),
        ("glister", {"validation": np.ones((5, 7))}, "validation"),
    ],
)
def test_an_error_comes_before_anything_long(monkeypatch, method, options, name):
    """The sketch is not begun."""
    monkeypatch.setattr(skmm.SparseSign, "_apply", lambda *_a, **_k: pytest.fail("sketched"))
    with pytest.raises((TypeError, ValueError), match=f"{name}: "):
        skmm.select(sample(60, 300), 20, method=method, **options)


def test_outputs_of_sixteen_bits_and_records():
    torch = pytest.importorskip("torch")
    X, logits = sample(), torch.from_numpy(LOGITS).float()
    head = torch.eye(logits.shape[1])
    for narrow in (torch.float16, torch.bfloat16):
        for method in ("entropy", "deepfool"):
            options = {"head": head} if method == "deepfool" else {}
            wide = {"logits": logits.to(narrow).float(), **options}
            expected = skmm.select(X, 9, method=method, **wide).indices
            found = skmm.select(
                X, 9, method=method, **{**wide, "logits": logits.to(narrow)}
            ).indices
            assert np.array_equal(found, expected)
    record = skmm.ForgettingRecord(len(X))
    for _ in range(3):
        record(np.arange(len(X)), np.arange(len(X)) % 2 == 0)
    by_array = skmm.select(X, 9, method="forgetting", record=record.array()).indices
    assert np.array_equal(skmm.select(X, 9, method="forgetting", record=record).indices, by_array)
    with pytest.raises(ValueError, match="record: expected"):
        skmm.select(X, 9, method="forgetting", record=[[True], [True, False]])


def test_a_function_may_not_write_and_may_see_labels():
    X = sample()
    seen = {}

    def mine(Z, n, seed, y):
        seen["y"] = y
        with pytest.raises(ValueError, match="read-only"):
            Z -= 1
        return range(n)

    y = np.arange(len(X)) % 3
    skmm.select(X, 5, method=mine, y=y)
    assert seen["y"] is y


def test_inclusion_of_tiny_scores():
    np.testing.assert_allclose(inclusion(np.array([1e-319, 1e-318]), 1), [1 / 11, 10 / 11], 1e-3)
