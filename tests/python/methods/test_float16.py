"""Selections from rows of 16 bits: those of the same rows in float32, and almost those of the rows
that were rounded."""

import tracemalloc

import numpy as np
import pytest

import skmm_fast as skmm
from skmm_fast._support.float16_rows import Float16Rows, scaled_halves
from skmm_fast.methods.registry import REGISTRY

N, M, C = 3000, 24, 4
RNG = np.random.default_rng(0)
Y = RNG.integers(0, C, N)
CENTRES = RNG.standard_normal((C, M))
SIZES = np.exp(1.5 * RNG.standard_normal((N, 1)))
DECAY = np.linalg.qr(RNG.standard_normal((M, M)))[0] * np.logspace(0, -1.5, M)
Z = (SIZES * (CENTRES[Y] + 1.5 * RNG.standard_normal((N, M))) @ DECAY).astype(np.float32)
NARROW = Float16Rows(scaled_halves(Z)[0], scaled=True)
ROUNDED = np.asarray(NARROW)
LOGITS = RNG.standard_normal((N, C)).astype(np.float32)
INPUTS = {
    "y": Y,
    "logits": LOGITS,
    "probs": np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True),
    "head": RNG.standard_normal((C, M)),
    "record": RNG.random((5, N)) < 0.6,
}
TARGET = Z[:9] + 0.1


def calls():
    """(method, options) of every method, with a target too where it takes one."""
    for name, method in REGISTRY.items():
        needs = [x for x in ("y", "probs", "head", "record") if x in str(method.needs)]
        options = {x: INPUTS[x] for x in needs}
        if "logits" in str(method.needs) and "probs" not in needs:
            options["logits"] = LOGITS
        yield (
            pytest.param(name, options, id=name)
            if "target" not in method.needs
            else (pytest.param(name, {"target": TARGET}, id=name))
        )
    yield pytest.param("auto", {"y": Y}, id="auto with y")
    yield pytest.param("auto", {"y": Y, "pilot": "linear"}, id="linear pilot")
    yield pytest.param("auto", {"target": TARGET}, id="auto with a target")
    yield pytest.param("v-optimal", {"target": TARGET}, id="v-optimal with a target")
    yield pytest.param("v-optimal", {"y": Y, "per_class": "balanced"}, id="v-optimal in classes")
    yield pytest.param("uniform", {"unit_rows": True}, id="unit rows")
    yield pytest.param("herding", {"exclude": [1, 5], "include": [3]}, id="constraints")
    yield pytest.param(lambda Z, n, seed: np.argsort(-Z[:, 0])[:n], {}, id="own function")


def same(a, b):
    assert np.array_equal(a.indices, b.indices)
    assert np.array_equal(a.weights, b.weights)
    assert str(a.diagnosis) == str(b.diagnosis)
    for name, points in a.picture.items():
        assert np.array_equal(points, b.picture[name]), name


@pytest.mark.parametrize("sketch_dim", [M, 12], ids=["as they are", "sketched"])
@pytest.mark.parametrize(("method", "options"), list(calls()))
def test_selections_are_those_of_the_same_rows_in_float32(method, options, sketch_dim):
    call = {"method": method, "sketch_dim": sketch_dim, "diagnose": "full", **options}
    if "target" in options:
        target = Float16Rows(scaled_halves(TARGET)[0], scaled=True)
        call["target"] = np.asarray(target)
        same(
            skmm.select(NARROW, 150, **{**call, "target": target}),
            skmm.select(ROUNDED, 150, **call),
        )
    else:
        same(skmm.select(NARROW, 150, **call), skmm.select(ROUNDED, 150, **call))


@pytest.mark.parametrize("scratch", [False, True])
def test_moment_matching_rotates_rows_in_a_file(tmp_path, scratch):
    np.save(tmp_path / "halves.npy", NARROW.halves)
    mapped = Float16Rows(np.load(tmp_path / "halves.npy", mmap_mode="r"), scaled=True)
    options = {"scratch_dir": tmp_path} if scratch else {}
    found = skmm.select(mapped, 150, method="moment-matching", **options)
    same(found, skmm.select(ROUNDED, 150, method="moment-matching"))


def test_plain_float16_arrays():
    plain = Z[:, ::2].astype(np.float16)
    for given in (plain, np.repeat(plain, 2, axis=0)[::2]):
        for method in ("auto", "v-optimal", "herding"):
            same(
                skmm.select(given, 100, method=method),
                skmm.select(plain.astype(np.float32), 100, method=method),
            )


@pytest.mark.parametrize("method", ["auto", "v-optimal"])
def test_selections_are_as_good_as_those_of_the_rows_before_rounding(method):
    """Judged by the rows before rounding: the V-optimality of V-optimal rows, and for gradient
    matching what is left of the error of uniform draws."""
    for seed in range(3):
        narrow = skmm.select(NARROW, 300, method=method, y=Y, seed=seed).indices
        wide = skmm.select(Z, 300, method=method, y=Y, seed=seed).indices
        judged = [skmm.diagnose(Z, rows) for rows in (narrow, wide)]
        shared = len(np.intersect1d(narrow, wide)) / 300
        if method == "v-optimal":
            ratio = judged[0].v_optimality / judged[1].v_optimality
            assert shared >= 0.995 or ratio < 1.001
        else:
            errors = [d.mean_error / d.random_mean_error for d in judged]
            assert shared >= 0.995 or errors[0] < errors[1] + 0.01


def test_rows_of_few_dimensions():
    """The rounding of entries is no direction that V-optimal rows should cover."""
    low = (Z[:, :7] @ RNG.standard_normal((7, M))).astype(np.float32)
    given = Float16Rows(scaled_halves(low)[0], scaled=True)
    for options in ({}, {"sketch_dim": 12}, {"unit_rows": True}):
        narrow = skmm.select(given, 100, method="v-optimal", **options)
        wide = skmm.select(low, 100, method="v-optimal", **options)
        assert narrow.diagnosis.rank == wide.diagnosis.rank == 7
        assert narrow.diagnosis.v_optimality < 1.001 * wide.diagnosis.v_optimality


def test_errors_name_the_argument():
    halves = NARROW.halves.copy()
    halves[17, 3] = np.nan
    with pytest.raises(ValueError, match="X: expected finite values, got NaN or Inf in 1 of 3000"):
        skmm.select(Float16Rows(halves, scaled=True), 50, sketch_dim=12)
    with pytest.raises(ValueError, match="X: expected finite values, got NaN or Inf in 1 of 3000"):
        skmm.select(Float16Rows(halves, scaled=True), 50, sketch_dim=M)
    with pytest.raises(
        ValueError, match=r"target: expected rows of 24 entries, got shape \(9, 7\)"
    ):
        skmm.select(NARROW, 50, target=Float16Rows(np.ones((9, 8), np.float16), scaled=True))
    nothing = Float16Rows(np.zeros((30, 8), np.float16), scaled=True)
    with pytest.raises(ValueError, match="X: expected a nonzero entry, got zeros only"):
        skmm.select(nothing, 9)


@pytest.mark.parametrize("method", ["v-optimal", "herding", "grand"])
def test_rows_are_not_widened_as_a_whole(method):
    some = scaled_halves(RNG.standard_normal((50_000, 64)))[0]
    many = Float16Rows(np.tile(some, (10, 1)), scaled=True)
    tracemalloc.start()
    skmm.select(many, 70, method=method, sketch_dim=64, diagnose="none")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < many.halves.nbytes
