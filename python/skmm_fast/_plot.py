"""Pictures of selections (needs matplotlib)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from ._diagnose import Diagnosis
from ._support.optional import need
from ._support.types import Array

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Picture = dict[str, Array]  # "pool" and "selected": (., <= 2) points; "eigenvalues" (m,)


def plot_selection(
    picture: Picture,
    diagnosis: Diagnosis,
    title: str,
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """Pool and selection along the two leading eigenvectors of Σ̃, its spectrum, and the selection
    between uniform draws and the certified bound where there are such figures.

    Returns the matplotlib Figure; written to `path` where given.
    """
    figure: Figure = need("matplotlib.figure", "plot").Figure(
        figsize=(14, 4.2), layout="constrained"
    )
    left, middle, right = figure.subplots(1, 3, width_ratios=(4, 4, 3))
    draw_pool(left, picture, diagnosis, title)
    draw_spectrum(middle, picture, diagnosis)
    draw_certificate(right, diagnosis)
    if path is not None:
        figure.savefig(path, dpi=110)
    return figure


def draw_pool(axes: Any, picture: Picture, d: Diagnosis, title: str) -> None:
    axes.scatter(*_two(picture["pool"]), s=5, color="0.72", label=f"pool ({d.n_samples})")
    axes.scatter(
        *_two(picture["selected"]), s=16, color="C3", linewidths=0, label=f"selected ({d.n})"
    )
    axes.set(xlabel="along the first eigenvector of Σ̃", ylabel="along the second", title=title)
    axes.legend(loc="best", fontsize=8)


def draw_spectrum(axes: Any, picture: Picture, d: Diagnosis) -> None:
    m, kept = len(picture["eigenvalues"]), picture["eigenvalues"][: d.rank]
    axes.semilogy(np.arange(1, len(kept) + 1), kept, color="C0", label="eigenvalues λ of Σ̃")
    axes.axvline(
        d.intrinsic_dim, color="C3", ls="--", label=f"intrinsic dim. r̄ = {d.intrinsic_dim}"
    )
    axes.axvline(d.rank, color="0.5", ls=":", label=f"rank = {d.rank} of m = {m}")
    axes.set(xlabel="j", ylabel="λ_j", title="spectrum of the sketched gradients")
    axes.legend(loc="best", fontsize=8)


def draw_certificate(axes: Any, d: Diagnosis) -> None:
    """Both errors of the selection in units of those of uniform draws, which are 1 on average."""
    axes.axhline(1, color="0.72", lw=1)
    if d.random_mean_error > 0:
        axes.plot([0], [d.mean_error / d.random_mean_error], "o", color="C3")
    draws = d.random_v_optimality[np.isfinite(d.random_v_optimality)]
    unit = draws.mean() if len(draws) else np.nan
    if np.isfinite(unit) and np.isfinite(d.v_optimality):
        axes.plot(np.linspace(0.85, 1.15, len(draws)), draws / unit, "o", color="0.72", ms=4,
                  label="uniform draws")  # fmt: skip
        axes.plot([1], [d.v_optimality / unit], "o", color="C3", label="selected")
        if np.isfinite(d.lower_bound):
            axes.hlines(
                d.lower_bound / unit, 0.8, 1.2, color="C0", ls="--", label="no n rows below"
            )
    names = ["mean gradient\nerror Φ", "V-optimality"]
    axes.set(xlim=(-0.5, 1.5), xticks=[0, 1], xticklabels=names, title="beside uniform draws")
    axes.set(ylabel="error / that of uniform draws", ylim=(0, None))
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="best", fontsize=8)


def _two(points: Array) -> tuple[Array, Array]:
    """The two coordinates of points; the second is zero where points have only one."""
    return points[:, 0], points[:, 1] if points.shape[1] > 1 else np.zeros(len(points))
