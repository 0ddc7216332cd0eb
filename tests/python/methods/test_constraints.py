"""Rows per class, include and exclude, in every method that selects."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from support.problems import check, group_of, least_mismatch, problems
from support.problems import constraints as constraints_for
from support.reference import moment_terms

import skmm_fast as skmm
from skmm_fast.methods.constraints import class_counts, power_counts
from skmm_fast.methods.labels import labels_of

METHODS = ("v-optimal", "moment-matching")
FEW_ROWS = "ignore:n = .* < rank"


@settings(max_examples=100)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=6), st.data())
def test_proportional_counts(sizes, data):
    total = sum(sizes)
    assume(total >= len(sizes))
    n = data.draw(st.integers(len(sizes), total))
    counts = np.array(class_counts("proportional", range(len(sizes)), np.array(sizes), n))
    assert counts.sum() == n
    assert np.all(np.abs(counts - n * np.array(sizes) / total) < 1)
    assert np.all(counts <= sizes)


@settings(max_examples=100)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=6), st.data())
def test_balanced_counts(sizes, data):
    """One row after the other, to the class that has fewest; which of equals is free."""
    assume(sum(sizes) >= len(sizes))
    n = data.draw(st.integers(len(sizes), sum(sizes)))
    expected = [0] * len(sizes)
    for _ in range(n):
        open_ = [c for c, size in enumerate(sizes) if expected[c] < size]
        expected[min(open_, key=expected.__getitem__)] += 1
    counts = class_counts("balanced", range(len(sizes)), np.array(sizes), n)
    assert sorted(counts) == sorted(expected)
    assert all(count <= size for count, size in zip(counts, sizes, strict=True))


@settings(max_examples=100)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=6), st.floats(0, 1), st.data())
def test_counts_in_proportion_to_a_power(sizes, power, data):
    """They sum to n, fit, and are s size^power up to the size and to rounding, for one s."""
    sizes = np.array(sizes)
    assume(sizes.sum() >= len(sizes))
    n = data.draw(st.integers(len(sizes), sizes.sum()))
    counts = np.array(class_counts(power, range(len(sizes)), sizes, n))
    assert counts.sum() == n
    assert np.all((counts >= 0) & (counts <= sizes))
    s = brentq(lambda s: np.minimum(s * sizes**power, sizes).sum() - n, 0, sizes.sum() + 1)
    assert np.all(np.abs(counts - np.minimum(s * sizes**power, sizes)) < 1 + 1e-6)
    assert np.all(np.diff(counts[np.argsort(sizes, kind="stable")]) >= -1)


@settings(max_examples=60)
@given(st.lists(st.integers(0, 50), min_size=1, max_size=6), st.data())
def test_powers_have_names(sizes, data):
    sizes = np.array(sizes)
    assume(sizes.sum() >= len(sizes))
    n = data.draw(st.integers(len(sizes), sizes.sum()))
    for name, powers in (
        ("proportional", (1, 1.0, np.float32(1))),
        ("sqrt", (0.5, np.float64(0.5))),
        ("balanced", (0, 0.0, np.int64(0))),
    ):
        expected = class_counts(name, range(len(sizes)), sizes, n)
        for power in powers:
            assert class_counts(power, range(len(sizes)), sizes, n) == expected


def test_counts_by_hand():
    for power, expected in (
        (1, [80, 16, 4]),
        (0.5, [60, 27, 13]),  # 100 (√80, √16, √4) / (√80 + √16 + √4) = 59.8, 26.8, 13.4
        (0, [34, 33, 33]),
    ):
        assert class_counts(power, "abc", np.array([800, 160, 40]), 100) == expected
    assert class_counts(0, "abc", np.array([800, 10, 40]), 100) == [50, 10, 40]


@settings(max_examples=100)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=6), st.floats(0, 1), st.data())
def test_counts_that_have_a_least(sizes, power, data):
    sizes = np.array(sizes)
    least = np.array([data.draw(st.integers(0, 5)) for _ in sizes])
    n = data.draw(st.integers(np.minimum(least, sizes).sum(), sizes.sum()))
    counts = np.array(power_counts(sizes, n, power, least))
    assert counts.sum() == n
    assert np.all(counts <= sizes)
    assert np.all(counts >= np.minimum(least, sizes))


@settings(max_examples=80)
@given(problems((None,)), st.floats(0, 1))
def test_counts_of_classes_hold_include_and_one_of_each(problem, power):
    _, y, n, _, include, exclude, _ = problem
    free = constraints_for(len(y), n, include=include, exclude=exclude)
    labels = labels_of(y, len(y))
    counted = free.in_classes(labels, power)
    left = np.delete(y, exclude)
    assert sum(counted.counts) == n
    once = 0
    for c, count in zip(labels.values, counted.counts, strict=True):
        assert (y[include] == c).sum() <= count <= (left == c).sum()
        once += max((y[include] == c).sum(), min(1, (left == c).sum()))
    if 2 * once <= n:
        for c, count in zip(labels.values, counted.counts, strict=True):
            assert count >= 1 or not (left == c).any()
    assert np.array_equal(counted.include, free.include)
    assert np.array_equal(counted.never(), free.never())


@pytest.mark.parametrize(
    ("power", "error"),
    [
        (-0.1, ValueError),
        (1.1, ValueError),
        (2, ValueError),
        (np.nan, ValueError),
        (np.inf, ValueError),
        (True, TypeError),
        (np.True_, TypeError),
        (b"sqrt", TypeError),
        ([0.5], TypeError),
        ("0.5", ValueError),
        ("", ValueError),
    ],
    ids=repr,
)
@pytest.mark.parametrize("method", ["auto", "uniform"])
def test_powers_that_are_none(method, power, error):
    Z, y = np.random.default_rng(0).standard_normal((30, 3)), np.arange(30) % 3
    with pytest.raises(error, match=r"^per_class: expected"):
        skmm.select(Z, 9, method=method, y=y, per_class=power)


@settings(max_examples=60)
@given(
    problems(),
    st.booleans(),
    st.sampled_from(["greedy", "linear", "exp"]),
    st.sampled_from(["auto", "greedy", "relaxation"]),
    st.integers(1, 9),
)
@pytest.mark.filterwarnings(FEW_ROWS)
def test_v_optimal(problem, refine, sampler, route, block):
    Z, y, n, per_class, include, exclude, _ = problem
    selected = skmm.select(
        Z, n, method="v-optimal", sketch_dim=Z.shape[1], y=y, per_class=per_class,
        include=include, exclude=exclude, refine=refine, sampler=sampler, route=route,
        block=block, seed=3,
    )  # fmt: skip
    check(selected.indices, problem)
    assert selected.diagnosis.v_optimality >= selected.diagnosis.lower_bound * (1 - 1e-9)


@settings(max_examples=60)
@given(
    problems(),
    st.booleans(),
    st.sampled_from(["systematic", "pivotal", "top"]),
    st.sampled_from(["paper", "relative"]),
)
@pytest.mark.filterwarnings(FEW_ROWS)
def test_moment_matching(problem, refine, draw, weighting):
    Z, y, n, per_class, include, exclude, _ = problem
    selected = skmm.select(
        Z, n, method="moment-matching", sketch_dim=Z.shape[1], y=y, per_class=per_class,
        include=include,
        exclude=exclude, refine=refine, draw=draw, weighting=weighting, seed=3, max_iter=50,
    )  # fmt: skip
    check(selected.indices, problem)


@settings(max_examples=60)
@given(problems(), st.sampled_from(["random", "uniform"]), st.sampled_from([0, 1, 200]))
def test_s_is_feasible(problem, init, max_iter):
    Z, y, n, per_class, include, exclude, counts = problem
    fit = skmm.match_moments(
        Z, n, c_s=0.99, init=init, max_iter=max_iter, y=y, per_class=per_class, include=include,
        exclude=exclude,
    )  # fmt: skip
    assert fit.s.min() >= 0
    assert fit.s.max() <= 1 / n * (1 + 1e-15)
    assert fit.s.sum() == pytest.approx(1, abs=1e-9)
    assert np.all(fit.s[include] == 1 / n)
    assert np.all(fit.s[exclude] == 0)
    assert fit.gap >= 0
    for c, count in counts.items():
        assert per_class is None or fit.s[y == c].sum() == pytest.approx(count / n, abs=1e-9)


def test_uniform_s_is_within_its_cap():
    Z = np.random.default_rng(0).standard_normal((6, 2))
    fit = skmm.match_moments(Z, 6, init="uniform", include=[3])
    assert fit.s.max() <= 1 / 6


@pytest.mark.parametrize("weighting", ["paper", "relative"])
@pytest.mark.parametrize("c_s", [0.9, 0.5])
@pytest.mark.parametrize(
    ("include", "exclude"), [([], []), ([2, 5], []), ([], [0, 7]), ([9], [1, 3])]
)
def test_moments_by_class_equal_slsqp(weighting, c_s, include, exclude):
    for seed in range(2):
        rng = np.random.default_rng(seed)
        Z = rng.standard_normal((40, 5)) * rng.exponential(size=(40, 1)) * 0.7 ** np.arange(5)
        y, n, per_class = np.arange(40) % 3, 8, {0: 2, 1: 1, 2: 5}
        constraints = {"y": y, "per_class": per_class, "include": include, "exclude": exclude}
        fit = skmm.match_moments(
            Z, n, c_s=c_s, weighting=weighting, tol=1e-9, max_iter=10_000, **constraints
        )
        best = least_mismatch(Z, c_s, weighting, constraints_for(40, n, **constraints))
        target, A, w = moment_terms(Z, c_s, weighting)
        scale = fit.start_objective
        assert fit.converged
        assert fit.objective == pytest.approx(w @ np.maximum(target - fit.s @ A, 0) ** 2)
        assert abs(fit.objective - best) <= 1e-6 * scale
        assert fit.objective - best <= fit.gap + 1e-7 * scale
        early = skmm.match_moments(Z, n, c_s=c_s, weighting=weighting, max_iter=2, **constraints)
        assert early.objective - best <= early.gap + 1e-7 * scale


def test_an_init_that_misses_its_sums_is_an_error():
    Z, y, s = np.random.default_rng(0).standard_normal((12, 3)), np.arange(12) % 2, np.zeros(12)
    s[:4] = 1 / 4  # two of each class
    good = skmm.match_moments(Z, 4, y=y, per_class="balanced", init=s, max_iter=0)
    assert np.array_equal(good.s, s)
    for constraints, message in (
        ({"y": y, "per_class": {0: 3, 1: 1}}, "init: .* class that sum to its count"),
        ({"include": [8]}, "init: expected 1/n on the rows of include"),
        ({"exclude": [0]}, "init: .* 0 on those of exclude"),
    ):
        with pytest.raises(ValueError, match=message):
            skmm.match_moments(Z, 4, init=s, **constraints)


@settings(max_examples=40)
@given(st.sampled_from(METHODS), st.integers(0, 10**6))
def test_the_class_that_is_short_is_named(method, seed):
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat(["ant", "bee", "cat"], [4, 10, 16]))
    Z, ants, cats = rng.standard_normal((30, 3)), *(np.flatnonzero(y == c) for c in ("ant", "cat"))

    def fails(name, **constraints):
        with pytest.raises(ValueError, match=f"per_class: .*class {name}"):
            skmm.select(Z, 9, method=method, y=y, **constraints)

    fails("ant", per_class={"ant": 5, "bee": 2, "cat": 2})
    fails("ant", per_class={"ant": 4, "cat": 5}, exclude=ants[:1])
    fails("ant", per_class={"ant": 1, "cat": 8}, include=ants[:2])
    fails("cat", per_class="proportional", include=cats[:6])
    fails("cat", per_class="balanced", include=cats[:4])
    fails("cat", per_class={"bee": 9}, include=cats[:1])


@pytest.mark.parametrize("method", METHODS)
def test_other_impossible_constraints(method):
    Z, y = np.random.default_rng(0).standard_normal((30, 3)), np.arange(30) % 3
    for constraints, message in (
        ({"per_class": "balanced"}, "y: expected labels"),
        ({"y": y, "per_class": {0: 3, 1: 3, 2: 4}}, "per_class: .* sum to n = 9, got 10"),
        ({"y": y, "per_class": {0: 3, 1: 3, 7: 3}}, "per_class: .* classes that occur in y, got 7"),
        ({"y": np.arange(30), "per_class": "balanced"}, "n: .* each of 30 classes, got 9"),
        ({"include": range(10)}, "include: expected at most n = 9"),
        ({"exclude": range(22)}, "exclude: expected to leave n = 9"),
        ({"include": [3], "exclude": [3]}, "exclude: .* row 3 in both"),
    ):
        with pytest.raises(ValueError, match=message):
            skmm.select(Z, 9, method=method, **constraints)


@settings(max_examples=200)
@given(
    st.sampled_from([np.int8, np.uint8, np.int32, np.int64, np.uint64, np.bool_, "U3", float]),
    st.integers(0, 2**32),
    st.integers(1, 50),
    st.booleans(),
)
def test_labels_as_numbers_are_those_of_unique(dtype, seed, N, wide):
    rng = np.random.default_rng(seed)
    if np.issubdtype(dtype, np.integer):
        info = np.iinfo(dtype)
        ends = (info.min, info.max) if wide else (info.max // 2, min(info.max // 2 + 9, info.max))
        y = rng.integers(*ends, size=N, dtype=dtype, endpoint=True)
        y[: N // 4] = ends[0]
    else:
        y = rng.integers(0, 5, N).astype(dtype)
    values, number = np.unique(y, return_inverse=True)
    found = labels_of(y, N)
    assert found.values.dtype == values.dtype
    assert np.array_equal(found.values, values)
    assert found.number.dtype == np.int32
    assert np.array_equal(found.number, number)


@settings(max_examples=100)
@given(problems())
def test_free_rows_group_by_group(problem):
    _, y, n, per_class, include, exclude, _ = problem
    N = len(y)
    allowed = constraints_for(N, n, y, per_class, include, exclude)
    group, fixed = group_of(allowed), set(allowed.include)
    assert allowed.n == sum(allowed.counts) == n
    assert np.array_equal(allowed.never(), np.sort(exclude))
    for g, free in enumerate(allowed.groups):
        rows = [i for i in range(N) if group[i] == g and i not in fixed]
        assert allowed.free[free.part].tolist() == rows
        assert free.size == len(rows)
        assert free.count == allowed.counts[g] - sum(group[i] == g for i in fixed)
    assert len(allowed.free) == N - len(exclude) - len(fixed)


def test_rows_that_are_no_selection():
    allowed = constraints_for(6, 3, [0, 0, 0, 1, 1, 1], {0: 1, 1: 2}, include=[3], exclude=[0])
    allowed.require("method", np.array([1, 3, 5]))
    for rows, message in (
        ([1, 3], "expected 3 rows, got 2"),
        ([1, 4, 5], "expected the rows of include"),
        ([0, 3, 4], "expected no excluded row, got 0"),
        ([1, 2, 3], "as many rows of each class"),
    ):
        with pytest.raises(ValueError, match=f"method: .*{message}"):
            allowed.require("method", np.array(rows))
