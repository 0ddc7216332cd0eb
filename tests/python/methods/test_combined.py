"""Selections from rows side by side are those from the joined array."""

import numpy as np
import pytest

import skmm_fast as skmm
from skmm_fast.methods.registry import REGISTRY

N, WIDTHS, SCALES, C = 2000, (9, 6), (1.5, 0.4), 3
RNG = np.random.default_rng(0)
Y = RNG.integers(0, C, N)
PARTS = [RNG.standard_normal((C, k))[Y] + 1.5 * RNG.standard_normal((N, k)) for k in WIDTHS]
WHOLE = np.hstack([np.sqrt(w) * part for w, part in zip(SCALES, PARTS, strict=True)])
TARGET = WHOLE[:9] + 0.1
PROBS = RNG.dirichlet(np.ones(C), N)
INPUTS = {"y": Y, "probs": PROBS, "head": RNG.standard_normal((C, 15)), "record": PROBS.T > 0.4}


def both(rows=slice(None)):
    return skmm.combine([np.ascontiguousarray(part[rows]) for part in PARTS], SCALES)


def calls():
    """(method, options) of every method, and of some kinds of calls."""
    for name, method in REGISTRY.items():
        needs = {x: INPUTS[x] for x in INPUTS if x in str(method.needs)}
        if "logits" in str(method.needs) and "probs" not in needs:
            needs["logits"] = np.log(PROBS)
        target = {"target": TARGET} if "target" in method.needs else {}
        yield pytest.param(name, {**needs, **target}, id=name)
    yield pytest.param("auto", {"y": Y, "pilot": "linear"}, id="linear pilot")
    yield pytest.param("v-optimal", {"target": TARGET}, id="v-optimal with a target")
    yield pytest.param("v-optimal", {"sketch_dim": 8}, id="sketched")
    yield pytest.param("v-optimal", {"unit_rows": True}, id="unit rows")
    yield pytest.param("herding", {"exclude": [1, 5], "include": [3]}, id="constraints")
    yield pytest.param(lambda Z, n, seed: np.argsort(-Z[:, 0])[:n], {}, id="own function")


@pytest.mark.parametrize(("method", "options"), list(calls()))
def test_selections(method, options):
    call = {"method": method, "diagnose": "full", **options}
    found = skmm.select(both(), 60, **call)
    expected = skmm.select(WHOLE, 60, **call)
    assert np.array_equal(found.indices, expected.indices)
    np.testing.assert_allclose(found.weights, expected.weights, rtol=1e-9)
    assert found.diagnosis.verdict == expected.diagnosis.verdict
    for name, figure in vars(expected.diagnosis).items():
        if isinstance(figure, float):
            near = pytest.approx(figure, rel=1e-6, nan_ok=True)
            assert getattr(found.diagnosis, name) == near, name


def test_a_target_side_by_side():
    found = skmm.select(both(), 60, target=both(slice(9)))
    assert np.array_equal(found.indices, skmm.select(WHOLE, 60, target=WHOLE[:9]).indices)


def test_memory_maps(tmp_path):
    for k, part in enumerate(PARTS):
        np.save(tmp_path / f"{k}.npy", part)
    maps = [np.load(tmp_path / f"{k}.npy", mmap_mode="r") for k in range(2)]
    X = skmm.combine(maps, SCALES)
    for options in ({"unit_rows": True}, {"method": "moment-matching"}, {"sketch_dim": 8}):
        found = skmm.select(X, 60, scratch_dir=tmp_path, **options)
        assert np.array_equal(found.indices, skmm.select(WHOLE, 60, **options).indices)


def test_lost_rows():
    parts = [part.copy() for part in PARTS]
    parts[1][7, 2] = np.nan
    X = skmm.combine(parts, SCALES)
    for sketch_dim in (8, 15):
        with pytest.raises(ValueError, match=r"^X: .*row 7"):
            skmm.select(X, 60, sketch_dim=sketch_dim)
    found = skmm.select(X, 60, exclude=[7])
    kept = np.delete(np.arange(N), 7)
    assert np.array_equal(found.indices, kept[skmm.select(WHOLE[kept], 60).indices])


def test_other_functions_take_them():
    assert skmm.moments(both()).rank == 15
    chosen = skmm.v_optimal(both(), 60).indices
    assert np.array_equal(chosen, skmm.v_optimal(WHOLE, 60).indices)
    assert skmm.diagnose(both(), chosen).v_optimality == pytest.approx(
        skmm.diagnose(WHOLE, chosen).v_optimality
    )
