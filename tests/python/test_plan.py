"""What plan() says before a selection."""

import re
from itertools import pairwise

import numpy as np
import pytest

import skmm_fast as skmm

METHODS = ("v-optimal", "moment-matching", "herding", "entropy")


@pytest.mark.parametrize("method", METHODS)
def test_fields(method):
    plan = skmm.plan(10_000, 16, 200, method=method, n_threads=1)
    assert isinstance(plan, skmm.Plan)
    assert 0 < plan.seconds < 60
    assert isinstance(plan.peak_bytes, int)
    assert plan.peak_bytes > 0
    assert plan.scratch_bytes == 0
    assert plan.route in (("greedy", "relaxation") if method == "v-optimal" else ("",))
    assert re.fullmatch(r"about [\d.e+-]+ s, [\d.e+-]+ GB of memory", str(plan))
    share = skmm.plan(10_000, 16, 0.02, method=method, n_threads=1)
    assert share == plan  # the machine is timed once


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", [20, 400])
def test_more_samples_take_more(method, n):
    plans = [skmm.plan(N, 16, n, method=method, n_threads=1) for N in 10 ** np.arange(3, 9)]
    assert all(a.seconds < b.seconds for a, b in pairwise(plans))
    assert all(a.peak_bytes < b.peak_bytes for a, b in pairwise(plans))


def test_one_pass_per_pick_is_counted():
    few, many = (
        skmm.plan(10**6, 16, n, method="k-center", n_threads=1).seconds for n in (10**3, 10**4)
    )
    assert many > 5 * few
    assert many > 10 * skmm.plan(10**6, 16, 10**4, method="uniform", n_threads=1).seconds


@pytest.mark.parametrize("method", METHODS[:2])
def test_ten_million_samples_fit(method):
    Z_bytes = 10**7 * 128 * 4
    plan = skmm.plan(10**7, 128, 10**5, method=method, scratch=True, n_threads=1)
    assert plan.peak_bytes < 2e9
    assert 1 < plan.seconds < 1e5
    assert plan.scratch_bytes == (Z_bytes if method == "moment-matching" else 0)
    assert ("GB of disk" in str(plan)) == (method == "moment-matching")
    in_memory = skmm.plan(10**7, 128, 10**5, method=method, n_threads=1)
    copy = in_memory.peak_bytes - plan.peak_bytes
    assert copy == (Z_bytes if method == "moment-matching" else 0)


def test_float64_takes_twice_the_room():
    single, double = (
        skmm.plan(10**6, 16, 100, method="moment-matching", dtype=t, scratch=True, n_threads=1)
        for t in (np.float32, np.float64)
    )
    assert double.scratch_bytes == 2 * single.scratch_bytes == 10**6 * 16 * 8


@pytest.mark.parametrize("method", METHODS[:3])
def test_the_route_is_the_one_taken(method):
    Z = np.random.default_rng(0).standard_normal((5000, 8))
    for n in (20, 1000):
        sel = skmm.select(Z, n, method=method)
        route = skmm.plan(5000, 8, n, method=method, n_threads=1).route
        assert route == sel.settings["solver"].get("route", "")


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((0, 8, 1), {}, ValueError, "n_samples: expected an int >= 1, got 0"),
        ((1e6, 8, 1), {}, TypeError, "n_samples: expected an int"),
        ((100, 0, 1), {}, ValueError, "sketch_dim: expected an int >= 1, got 0"),
        ((100, None, 1), {}, TypeError, "sketch_dim: expected an int"),
        ((100, 8, 101), {}, ValueError, r"n: expected an int in \[1, 100\], got 101"),
        ((100, 8, 0), {}, ValueError, r"n: expected an int in \[1, 100\], got 0"),
        ((100, 8, 1.5), {}, ValueError, r"n: expected an int, or a float in \(0, 1\)"),
        ((100, 8, True), {}, TypeError, "n: expected an int"),
        ((100, 8, 5), {"method": "greedy"}, ValueError, "method: expected one of 'auto'"),
        ((100, 8, 5), {"n_threads": 0}, ValueError, "n_threads: expected an int"),
    ],
)
def test_bad_arguments(arguments, options, error, message):
    with pytest.raises(error, match=message):
        skmm.plan(*arguments, **options)


@pytest.mark.parametrize("dtype", [np.int32, np.complex128, "no type", None])
def test_bad_dtype(dtype):
    with pytest.raises((TypeError, ValueError), match="dtype: expected"):
        skmm.plan(100, 8, 5, dtype=dtype)


def test_the_default_copies_no_large_rows():
    """At N = 4 million, m = 256, n = 40 000 the memory was seen to grow by .67 GB."""
    assert skmm.plan(n_samples=4_000_000, sketch_dim=256, n=40_000).peak_bytes < 1.34e9
