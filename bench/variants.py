"""Pools as they are, with flaws, with a head that knows something, with a test of another kind.

`problem` cuts a data set and applies one of VARIANTS. With one seed all variants have the same cut,
so they differ by what their names say only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

# Of the cut: shares of the data set and the most rows.
TEST_SHARE, TEST = 0.25, 3_000
KNOWN_SHARE, KNOWN = 0.125, 1_000
POOL = 6_000
# Of the variants.
FLIPPED = 0.2
JUNK, LENGTH = 0.05, 4.0
COPIED, SOURCES, NOISE = 0.3, 20, 0.01
FITTED = 1 / 3
BALANCED, RATIO, ONE_SIDE = 3.0, 20.0, 0.9


class Cut(NamedTuple):
    """Numbers of rows of a data set, none in two parts."""

    pool: np.ndarray
    test: np.ndarray
    known: np.ndarray  # seen before, not to be selected
    spare: np.ndarray  # all others


class Source(NamedTuple):
    """What a variant is made from."""

    X: np.ndarray
    y: np.ndarray
    cut: Cut
    rng: np.random.Generator


@dataclass(frozen=True)
class Problem:
    """Features and labels of a pool and of a test."""

    X: np.ndarray
    y: np.ndarray  # as given, not always true
    X_test: np.ndarray
    y_test: np.ndarray
    n_classes: int | None  # None: targets
    fitted: tuple[np.ndarray, np.ndarray] | None = None  # features and labels that the head knows
    marks: Mapping[str, np.ndarray] = field(default_factory=dict)  # (N,) bool: rows with a flaw


def problem(
    X: np.ndarray, y: np.ndarray, variant: str, seed: int, rare: float | None = None
) -> Problem:
    """`rare` is the share that the last class is thinned to; its other rows are spare."""
    parts = cut_of(y, np.random.default_rng(seed), rare)
    n_classes = None if y.dtype.kind == "f" else int(y.max()) + 1
    clean = Problem(X[parts.pool], y[parts.pool], X[parts.test], y[parts.test], n_classes)
    return VARIANTS[variant](clean, Source(X, y, parts, np.random.default_rng([seed, 1])))


def cut_of(y: np.ndarray, rng: np.random.Generator, rare: float | None = None) -> Cut:
    order = rng.permutation(len(y))
    rows = order if rare is None else thinned(order, y, rare, rng)
    N = len(rows)
    sizes = min(TEST, round(TEST_SHARE * N)), min(KNOWN, round(KNOWN_SHARE * N)), POOL
    test, known, pool, _ = np.split(rows, np.cumsum(sizes))
    spare = np.setdiff1d(order, rows[: sum(sizes)])
    return Cut(pool, test, known, spare)


def thinned(rows: np.ndarray, y: np.ndarray, rare: float, rng: np.random.Generator) -> np.ndarray:
    """All rows but for some of the last class, so that it is a share `rare` of what is left."""
    last = np.flatnonzero(y[rows] == y.max())
    kept = round(rare / (1 - rare) * (len(rows) - len(last)))
    return np.delete(rows, rng.permutation(last)[kept:])


def as_it_is(clean: Problem, _: Source) -> Problem:
    return clean


def flipped(clean: Problem, source: Source) -> Problem:
    """FLIPPED of the labels are those of another class, or targets of another of these rows."""
    rows, mark = chosen(clean, FLIPPED, source.rng)
    y = clean.y.copy()
    if clean.n_classes is None:
        y[rows] = y[np.roll(rows, 1)]
    else:
        others = source.rng.integers(1, clean.n_classes, len(rows))
        y[rows] = (y[rows] + others) % clean.n_classes
    return replace(clean, y=y, marks={"flipped": mark})


def junk(clean: Problem, source: Source) -> Problem:
    """JUNK of the rows are random directions, LENGTH times as long as others are in the mean
    square; their labels are random: any class, or the target of any row."""
    rows, mark = chosen(clean, JUNK, source.rng)
    X, y = clean.X.copy(), clean.y.copy()
    mean_square = (clean.X**2).sum(1).mean()
    X[rows] = LENGTH * np.sqrt(mean_square) * directions(len(rows), X.shape[1], source.rng)
    labels = clean.y if clean.n_classes is None else clean.n_classes
    y[rows] = source.rng.choice(labels, len(rows))
    return replace(clean, X=X, y=y, marks={"junk": mark})


def copies(clean: Problem, source: Source) -> Problem:
    """COPIED of the rows are copies of SOURCES others plus NOISE of their length, with their
    labels."""
    rows, mark = chosen(clean, COPIED, source.rng)
    sources = source.rng.choice(np.flatnonzero(~mark), SOURCES, replace=False)
    X, y = clean.X.copy(), clean.y.copy()
    of = source.rng.choice(sources, len(rows))
    noise = NOISE * directions(len(rows), X.shape[1], source.rng)
    X[rows] = X[of] + np.linalg.norm(X[of], axis=1, keepdims=True) * noise
    y[rows] = y[of]
    return replace(clean, X=X, y=y, marks={"copied": mark})


def fitted(clean: Problem, source: Source) -> Problem:
    """The head knows rows that are not in the pool: those of half of the classes or, of targets and
    of two classes, the FITTED that are furthest to one side."""
    X, y, known = source.X, source.y, source.cut.known
    classes = np.unique(y[known])
    if clean.n_classes is None or len(classes) < 4:
        along = side(X[known], clean.X, source.rng)
        known = known[np.argsort(along)[-round(FITTED * len(known)) :]]
    else:
        half = source.rng.choice(classes, len(classes) // 2, replace=False)
        known = known[np.isin(y[known], half)]
    return replace(clean, fitted=(X[known], y[known]))


def shifted(clean: Problem, source: Source) -> Problem:
    """A test of other shares. Targets: half as many rows, ONE_SIDE of them from one side. Classes:
    as many rows, all classes equally often or, where the pool is nearly balanced, geometrically
    less often down to 1 / RATIO; drawn with replacement, since some classes are small."""
    X, y, rng = source.X, source.y, source.rng
    others, n = np.concatenate([source.cut.test, source.cut.spare]), len(clean.y_test)
    if clean.n_classes is None:
        order, n = others[np.argsort(side(X[others], clean.X, rng))], n // 2
        near, far = np.array_split(order, 2)
        most = round(ONE_SIDE * n)
        rows = np.concatenate(
            [rng.choice(far, most, replace=False), rng.choice(near, n - most, replace=False)]
        )
    else:
        classes, sizes = np.unique(y[others], return_counts=True)
        shares, in_pool = np.ones(len(classes)), np.bincount(clean.y)
        if in_pool.max() < BALANCED * in_pool.min():
            shares = rng.permutation(RATIO ** -np.linspace(0, 1, len(classes)))
        weights = (shares / sizes)[np.searchsorted(classes, y[others])]
        rows = rng.choice(others, n, p=weights / weights.sum())
    return replace(clean, X_test=X[rows], y_test=y[rows])


VARIANTS: dict[str, Callable[[Problem, Source], Problem]] = {
    "clean": as_it_is,
    "flipped": flipped,
    "junk": junk,
    "copies": copies,
    "fitted": fitted,
    "shifted": shifted,
}


def chosen(clean: Problem, share: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A share of the pool's rows in random order, and a mask of them."""
    N = len(clean.y)
    rows, mask = rng.permutation(N)[: round(share * N)], np.zeros(N, bool)
    mask[rows] = True
    return rows, mask


def directions(n: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Random rows of unit norm."""
    X = rng.standard_normal((n, width)).astype(np.float32)
    return X / np.linalg.norm(X, axis=1, keepdims=True)


def side(X: np.ndarray, pool: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Places of rows along the first principal direction of the pool, whose sign is random."""
    mean = pool.mean(0)
    centred = pool - mean
    _, vectors = np.linalg.eigh(centred.T @ centred)
    return (X - mean) @ vectors[:, -1] * rng.choice([-1, 1])
