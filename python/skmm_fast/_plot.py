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
    """Pool and selection along the two leading eigenvectors of Σ̃, and its spectrum.

    Returns the matplotlib Figure; written to `path` where given.
    """
    figure: Figure = need("matplotlib.figure", "plot").Figure(
        figsize=(10, 4.2), layout="constrained"
    )
    left, right = figure.subplots(1, 2)
    draw_pool(left, picture, diagnosis, title)
    draw_spectrum(right, picture, diagnosis)
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


def _two(points: Array) -> tuple[Array, Array]:
    """The two coordinates of points; the second is zero where points have only one."""
    return points[:, 0], points[:, 1] if points.shape[1] > 1 else np.zeros(len(points))
