"""A saved selection that was damaged: it is one, as `select` makes them, or it is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from choices import Choices

import skmm_fast as skmm
from skmm_fast._diagnose import COUNTS, FIGURES, Diagnosis
from skmm_fast.methods.class_counts import ClassCounts

VALUES = [0.0, 1.5, -2.0, 1e300, float("inf"), float("-inf"), float("nan"), 3, 1e-320]
PICTURE = ("pool", "selected", "eigenvalues")


def target(choices: Choices, folder: Path) -> bool:
    shutil.rmtree(folder / "s", ignore_errors=True)
    (folder / "s").mkdir()
    made = _selection(choices)
    path = made.save(folder / "s" / choices.of(["chosen.npz", "chosen.json"]))
    if not choices.damage:
        if path.suffix == ".json":
            path.write_text(choices.json(json.loads(path.read_text())), "utf-8")
        back = skmm.Selection.load(path)
        assert np.array_equal(back.indices, made.indices)
        assert np.array_equal(back.weights, made.weights)
        assert back.settings == made.settings
        assert back.diagnosis.plain() == made.diagnosis.plain()
        if path.suffix == ".npz":
            assert all(np.array_equal(back.picture[name], made.picture[name]) for name in PICTURE)
        return True
    if path.suffix == ".json":
        _damage_json(choices, path)
    else:
        _damage_npz(choices, path)
    try:
        back = skmm.Selection.load(path)
    except ValueError as error:
        said = str(error)
        version = 2 if path.suffix == ".npz" else 3
        assert f"path: expected a selection of format {version}, got {path} (" in said, said
        assert "bring back" in said, said
        return False
    _check(back)
    saved = back.save(path.with_name("again" + path.suffix))
    again = skmm.Selection.load(saved)
    assert np.array_equal(again.indices, back.indices)
    assert again.settings == back.settings
    assert again.diagnosis.plain() == back.diagnosis.plain()
    return True


def _selection(choices: Choices) -> Any:
    """A selection of any rows, with any figures."""
    N = 1 + choices.below(40)
    n = 1 + choices.below(N)
    rng = np.random.default_rng(choices.below(1 << 16))
    m = 1 + choices.below(4)
    points = rng.standard_normal((N, min(m, 2)))
    indices = np.sort(rng.choice(N, n, replace=False))
    weights = rng.random(n) + 0.01
    counts = None
    if choices.chance(2):
        labels = choices.of([np.arange(2), np.array(["a", "é"]), np.array([0.5, 1.5])])
        chosen = choices.below(n + 1)
        pool = np.array([max(1, chosen), max(1, n - chosen)])
        counts = ClassCounts(labels, pool, np.array([chosen, n - chosen]))
    diagnosis = Diagnosis(
        **{name: float(choices.of(VALUES)) for name in FIGURES},
        random_v_optimality=np.array([float(choices.of(VALUES)) for _ in range(choices.below(4))]),
        rank=choices.below(9),
        intrinsic_dim=choices.below(9),
        n=n,
        n_samples=1 + choices.below(N),
        warnings=tuple(choices.text() for _ in range(choices.below(3))),
        class_counts=counts,
    )
    settings = {"method": choices.text(), "n_samples": N, "more": choices.value()}
    picture = {"pool": points, "selected": points[indices], "eigenvalues": rng.random(m)}
    return skmm.Selection(indices, diagnosis, settings, picture, weights / weights.mean())


def _odd_array(choices: Choices, x: np.ndarray) -> np.ndarray:
    """An array in the place of x: of other values, another type or shape."""
    kind = choices.below(12)
    if kind == 0:
        return x.astype(choices.of(["f4", "i4", "u8", "U5", "?", "c16", ">i8", ">f8", "S3", "f2"]))
    if kind == 1:
        return choices.of([x[:, None], x[:-1], x[:0], x[0], np.r_[x, x], x[::-1], x[None]])
    if kind == 2:
        return np.array([None, {}], object)
    if kind == 3:
        return np.zeros(len(x), [("a", x.dtype)])
    changed = x.copy().reshape(-1)
    odd = [-1, 0, 1, 2**31, 2**62, -(2**63), np.nan, np.inf, 1e300, -0.0]
    for _ in range(1 + choices.below(3)):
        value = choices.of(odd)
        if changed.dtype.kind == "i" and not (np.isfinite(value) and abs(value) < 2**63):
            value = 2**63 - 1
        changed[choices.below(len(changed))] = value
    return changed.reshape(x.shape)


def _damage_npz(choices: Choices, path: Path) -> None:
    if choices.chance(2):
        path.write_bytes(choices.damaged(path.read_bytes()))
        return
    with np.load(path) as file:
        arrays = dict(file)
    kind = choices.below(6)
    name = choices.of(sorted(arrays))
    if kind == 0:
        del arrays[name]
    elif kind == 1:
        arrays[name + choices.text()[:2].replace("/", "") + "x"] = arrays[name]
    elif kind == 2 or name == "meta":
        text = choices.damaged_json(json.loads(str(arrays["meta"]))).decode("utf-8", "replace")
        arrays["meta"] = choices.of([np.array(text), np.array([text]), np.array(text.encode())])
    else:
        arrays[name] = _odd_array(choices, arrays[name])
    (np.savez_compressed if choices.chance(8) else np.savez)(path, **arrays)


def _damage_json(choices: Choices, path: Path) -> None:
    meta = json.loads(path.read_text())
    if choices.chance(2):
        name = choices.of(["indices", "weights"])
        meta[name] = _odd_array(choices, np.array(meta[name])).tolist()
        path.write_text(json.dumps(meta, default=str))
    else:
        path.write_bytes(choices.damaged_json(meta))


def _check(selection: Any) -> None:
    """What holds of every selection."""
    S, weights, N = selection.indices, selection.weights, selection.settings["n_samples"]
    assert S.dtype == np.int64
    assert S.ndim == 1
    assert len(S) == selection.diagnosis.n >= 1
    assert (S[1:] > S[:-1]).all()
    assert S[0] >= 0
    assert S[-1] < N
    assert weights.shape == S.shape
    assert weights.dtype == np.float64
    assert np.isfinite(weights).all()
    assert (weights >= 0).all()
    assert set(selection.picture) == set(PICTURE)
    diagnosis = selection.diagnosis
    for name in COUNTS:
        assert type(getattr(diagnosis, name)) is int
    for name in FIGURES:
        assert type(getattr(diagnosis, name)) is float
    assert diagnosis.random_v_optimality.dtype == np.float64
    assert all(isinstance(said, str) for said in diagnosis.warnings)
    assert 1 <= diagnosis.n_samples <= N
    str(diagnosis)
