"""One sentence about a selection: what to expect of it beside a uniform draw."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from ._support.types import Floats

BETTER, WORSE = 0.5, 2.0  # Φ beside its expectation for uniform draws, where the verdict changes


class Figures(Protocol):
    """Those of a `Diagnosis` that the verdict looks at."""

    @property
    def mean_error(self) -> float: ...
    @property
    def random_mean_error(self) -> float: ...
    @property
    def outliers(self) -> float: ...
    @property
    def pool_outliers(self) -> float: ...
    @property
    def v_optimality(self) -> float: ...
    @property
    def lower_bound(self) -> float: ...
    @property
    def random_v_optimality(self) -> Floats: ...


def verdict(d: Figures) -> str:
    """The verdict, which follows the mean gradient and outliers; V-optimality is said beside it."""
    if np.isnan(d.mean_error):
        return "Not diagnosed."
    ratio = d.mean_error / d.random_mean_error if d.random_mean_error > 0 else 1.0
    matched = f"its mean gradient error is {_times(ratio)} that of uniform draws"
    of_variance = []
    spanned = d.random_v_optimality[np.isfinite(d.random_v_optimality)]
    if len(spanned) and np.isfinite(d.v_optimality):
        of_variance.append(f"{_times(d.v_optimality / spanned.mean())} theirs")
    if 0 < d.lower_bound < np.inf and np.isfinite(d.v_optimality):
        of_variance.append(f"at most {_above(d.v_optimality / d.lower_bound)}")
    if of_variance:
        matched += f", its V-optimality {' and '.join(of_variance)}"
    if d.outliers > 2 * d.pool_outliers + 0.05:
        share = f"{d.outliers:.0%} of its rows are outliers, {d.pool_outliers:.0%} of all"
        return f"Worse than a uniform draw is likely: {share}; {matched}."
    if ratio < BETTER:
        return f"Better than a uniform draw is likely: {matched}."
    if ratio > WORSE:
        return f"Worse than a uniform draw is likely: {matched}."
    return f"As good as a uniform draw is likely: {matched}."


def _times(ratio: float) -> str:
    """How many times smaller or larger than another a figure is, in words that end before it."""
    if 0.95 < ratio < 1.05:
        return "about"
    times, than = (1 / ratio, "x below") if 0 < ratio < 1 else (ratio, "x")
    return f"{times:.2g} {than}" if times < 100 else f"{times:.0f} {than}"


def _above(ratio: float) -> str:
    """How far above the best possible a figure is that is so many times a bound of it."""
    if ratio >= 2:
        return f"{ratio:.2g} x the best possible"
    above = max(ratio - 1, 0.0)
    return f"{above:.{1 if above < 0.1 else 0}%} above the best possible"
