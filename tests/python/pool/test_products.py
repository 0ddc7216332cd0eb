"""The products of the core, the projection and its support against NumPy, and their bits."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.reference import capped_simplex_projection, one_group

from skmm_fast import _core

DTYPES = (np.float32, np.float64)
SHAPES = [(1, 1), (1, 40), (7, 1), (129, 31), (128, 32), (301, 33), (1000, 64), (257, 100)]


def rows_of(shape, dtype, seed=0):
    return np.random.default_rng(seed).standard_t(3, size=shape).astype(dtype)


def weights_with_zeros(N, seed=0):
    rng = np.random.default_rng(seed)
    return rng.exponential(size=N) * (rng.random(N) < 0.6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_second_moment(shape, dtype):
    Z = rows_of(shape, dtype)
    X, s = Z.astype(float), weights_with_zeros(shape[0])
    scale = np.abs(X).T @ np.abs(X)
    for weights in (None, s, 0 * s):
        M = _core.second_moment(Z, weights)
        expected = X.T @ (X if weights is None else weights[:, None] * X)
        assert np.all(np.abs(M - expected) <= 1e-13 * (1 + s.max()) * scale)
        assert np.array_equal(M, M.T)


def test_rows_of_weight_zero_are_not_read():
    Z = rows_of((300, 5), np.float64)
    s = weights_with_zeros(300)
    Z[s == 0] = np.nan
    np.testing.assert_allclose(
        _core.second_moment(Z, s), Z[s > 0].T @ (s[s > 0, None] * Z[s > 0]), rtol=1e-12, atol=1e-10
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("d", [1, 32, 45])
def test_row_norms_and_multiply(shape, d, dtype):
    Z, D = rows_of(shape, dtype), rows_of((shape[1], d), np.float64, 1)
    some = np.random.default_rng(2).integers(0, shape[0], 150)  # in any order, some twice
    for rows in (None, some, some[:1], some[:0]):
        X = Z.astype(float) if rows is None else Z[rows].astype(float)
        np.testing.assert_allclose(
            _core.row_norms(Z, D, rows), ((X @ D) ** 2).sum(axis=1), rtol=1e-10
        )
        out = np.full((len(X), d), np.nan, dtype)
        _core.multiply(Z, D, rows, out, 2)
        slack = (np.finfo(dtype).eps + 1e-14) * (np.abs(X) @ np.abs(D))
        assert np.all(np.abs(out - X @ D) <= slack)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [*SHAPES, (9000, 3), (0, 4)])
def test_column_squares(shape, dtype):
    Y = rows_of(shape, dtype)
    np.testing.assert_allclose(
        _core.column_squares(Y, None, 2), (Y.astype(float) ** 2).sum(axis=0), rtol=1e-12
    )


@settings(max_examples=150)
@given(
    st.integers(0, 10**6),
    st.integers(1, 400),
    st.floats(-8, 8),
    st.floats(1e-9, 0.1),
    st.data(),
)
def test_support_is_from_above_and_within_slack(seed, N, log_scale, slack, data):
    rng = np.random.default_rng(seed)
    g = rng.standard_t(2, size=N) * 10.0**log_scale
    g[rng.random(N) < data.draw(st.sampled_from([0.0, 0.5, 1.0]))] = g[0]  # ties
    count = data.draw(st.integers(1, N))
    cap = 1 / data.draw(st.integers(1, N))
    exact = cap * np.sort(g)[N - count :].sum()
    scale = cap * count * np.abs(g).max()
    found = _core.support(g, one_group(N, count), cap, slack * scale, 2)
    assert exact - 1e-13 * scale <= found <= exact + (slack + 1e-13) * scale


def test_support_of_no_rows_and_of_all():
    g = rows_of(5000, np.float64)
    group = np.zeros(5000, np.int32)
    group[-1] = 1
    no_row_of_the_first = _core.Constraints(5000, group, [0, 1], []).free_rows()
    of_groups = g[no_row_of_the_first.rows]
    assert _core.support(of_groups, no_row_of_the_first, 0.5, 0.0, 1) == pytest.approx(g[-1] / 2)
    projected = _core.project(of_groups, no_row_of_the_first, 0.5, 1)
    assert projected[no_row_of_the_first.rows != 4999].max() == 0
    assert _core.support(g, one_group(5000, 5000), 0.5, 0.0, 1) == pytest.approx(g.sum() / 2)
    seventeen = np.sort(g)[-17:].sum() / 2
    assert _core.support(g, one_group(5000, 17), 0.5, 0.0, 1) == pytest.approx(seventeen)


@settings(max_examples=80)
@given(st.integers(0, 10**6), st.integers(1, 300), st.data())
def test_projection_of_any_total(seed, N, data):
    """Counts of a group: 1 to all of it, of rows that may be equal."""
    rng = np.random.default_rng(seed)
    v = np.round(rng.standard_normal(N), data.draw(st.integers(0, 3)))
    n = data.draw(st.integers(1, 2 * N))
    count = data.draw(st.integers(1, min(n, N)))
    s = _core.project(v, one_group(N, count), 1 / n, 2)
    assert s.min() >= 0
    assert s.max() <= 1 / n
    assert s.sum() == pytest.approx(count / n, rel=1e-11)
    np.testing.assert_allclose(s, capped_simplex_projection(v, 1 / n, count / n), atol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
def test_same_bits_on_any_threads(dtype):
    Z, D = rows_of((9001, 37), dtype), rows_of((37, 33), np.float64)
    s, rows = weights_with_zeros(9001), np.arange(9000, 0, -7)

    def bits(threads):
        out = np.empty((len(rows), 33), dtype)
        _core.multiply(Z, D, rows, out, threads)
        return [
            _core.second_moment(Z, s, threads),
            _core.second_moment(Z, None, threads),
            _core.row_norms(Z, D, rows, threads),
            out,
            _core.column_squares(Z, s, threads),
            _core.project(s, one_group(9001, 90), 1 / 90, threads),
            np.array(_core.support(s, one_group(9001, 90), 1 / 90, 1e-3, threads)),
        ]

    one = bits(1)
    for threads in (2, 5):
        for a, b in zip(one, bits(threads), strict=True):
            assert a.tobytes() == b.tobytes()


PRODUCTS = """
import sys, numpy as np, skmm_fast as skmm
from skmm_fast import _core
shown, rng = [], np.random.default_rng(0)
for dtype in (np.float32, np.float64):
    for shape in ((1, 1), (301, 33), (5000, 70)):
        Z, D = rng.standard_t(3, size=shape).astype(dtype), rng.standard_normal((shape[1], 45))
        s = rng.random(shape[0]) * (rng.random(shape[0]) < 0.6)
        out = np.empty((shape[0], 45), dtype)
        _core.multiply(Z, D, None, out, 1)
        shown += [_core.second_moment(Z), _core.second_moment(Z, s), _core.row_norms(Z, D), out]
        shown += [_core.column_squares(Z)]
    Z = np.ascontiguousarray(Z[:, :13])
    y = np.arange(5000) % 3
    for weighting in ("paper", "relative"):
        fit = skmm.match_moments(
            Z, 90, c_s=0.7, weighting=weighting, max_iter=20, y=y, per_class="balanced"
        )
        shown += [fit.s, fit.history["objective"], fit.gamma]
    for route in ("greedy", "relaxation"):
        found = skmm.v_optimal(Z, 60, route=route)
        shown += [found.indices, np.float64(found.lower_bound)]
np.savez(sys.argv[1], *shown)
print(_core.isa)
"""


def test_levels_have_the_same_bits_and_the_baseline_of_x86_agrees_to_rounding(tmp_path):
    def run(code, level):
        return subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / f"{level}.npz")],
            env={**os.environ, "SKMM_ISA": level},
            capture_output=True,
            text=True,
            timeout=1800,
        )

    refused = run("import skmm_fast", "none").stderr
    levels = refused.split("expected one of ")[1].split(" (")[0].split(", ")
    assert levels[-1] == "baseline"
    outputs = {}
    for level in levels:
        done = run(PRODUCTS, level)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == level
        with np.load(tmp_path / f"{level}.npz") as file:
            outputs[level] = [file[f"arr_{i}"] for i in range(len(file.files))]
    for level in levels[1:]:
        for best, array in zip(outputs[levels[0]], outputs[level], strict=True):
            if level == "baseline":
                rounding = 1e-5 if best.dtype == np.float32 else 1e-9
                atol = rounding * np.abs(best).max()
                np.testing.assert_allclose(array, best, rtol=rounding, atol=atol)
            else:
                assert array.tobytes() == best.tobytes(), level
