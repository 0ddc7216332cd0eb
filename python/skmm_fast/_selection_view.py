"""What a selection looks like in a terminal and in a notebook."""

from __future__ import annotations

import html
from typing import Any

import numpy as np

from ._diagnose import Diagnosis

Row = tuple[str, str, str]  # a figure: its name, of the rows chosen, of uniform draws


def title_of(settings: dict[str, Any], d: Diagnosis) -> str:
    """How many rows of how many, by what method, and whether it saw a sketch of them."""
    title = f'{d.n} of {settings["n_samples"]} rows by "{settings["method"]}"'
    if settings.get("sketch") is None:
        return title
    return f"{title}, sketched from {settings['in_dim']} to {settings['sketch_dim']} dimensions"


def text(settings: dict[str, Any], d: Diagnosis) -> str:
    """A title, the verdict, and the figures of the verdict beside those of uniform draws."""
    rows = [f"{name}: {of_chosen}{f' ({beside})' * bool(beside)}" for name, of_chosen, beside in
            table(d)[:3]]  # fmt: skip
    return "\n  ".join([f"Selection of {title_of(settings, d)}", d.verdict, *rows])


def as_html(settings: dict[str, Any], d: Diagnosis) -> str:
    """The same as a table, and the warnings."""
    cells = "".join(
        f"<tr><th style='text-align:left'>{name}</th><td>{chosen}</td><td>{beside}</td></tr>"
        for name, chosen, beside in (map(html.escape, row) for row in table(d))
    )
    warned = "".join(f"<p>Warning: {html.escape(said)}</p>" for said in d.warnings)
    return (
        f"<div><p><b>Selection of {html.escape(title_of(settings, d))}</b><br>"
        f"{html.escape(d.verdict)}</p><table>{cells}</table>{warned}</div>"
    )


def table(d: Diagnosis) -> list[Row]:
    """The figures that were computed, those of the verdict first."""
    if np.isnan(d.mean_error):
        return []
    rows = [
        ("mean gradient error Φ", f"{d.mean_error:.4g}", f"uniform {d.random_mean_error:.4g}"),
    ]
    if not np.isnan(d.v_optimality):
        spanned = d.random_v_optimality[np.isfinite(d.random_v_optimality)]
        uniform = f"uniform {spanned.mean():.4g} ± {spanned.std():.2g}" if len(spanned) else ""
        if len(d.random_v_optimality) and not len(spanned):
            uniform = "uniform draws do not span Z"
        least = f"at least {d.lower_bound:.4g}" if np.isfinite(d.lower_bound) else ""
        beside = ", ".join(part for part in (uniform, least) if part)
        value = f"{d.v_optimality:.4g}" if np.isfinite(d.v_optimality) else "does not span Z"
        rows.append(("V-optimality", value, beside))
    rows.append(("effective size", f"{d.effective_size:.4g}", f"of {d.n} rows"))
    rows.append(("outliers", f"{d.outliers:.1%}", f"pool {d.pool_outliers:.1%}"))
    rows.append(("near copies", f"{d.near_copies:.1%}", ""))
    if d.class_counts is not None:
        rows.append(("classes", str(d.class_counts), ""))
    if not np.isnan(d.mean_length):
        rows.append(("mean length", f"{d.mean_length:.4g}", f"pool {d.pool_mean_length:.4g}"))
    return rows
