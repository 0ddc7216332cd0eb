"""Figures of gmm.py beside the published table 1: means, orders, what should hold, a picture."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from common import result_path, save, write

Rows = list[dict[str, Any]]

COUNTS = (48, 64, 80, 120, 400, 800, 1600)
EXACT, STOPPED = "risk", "risk as published"
DATA = "published data"
PUBLISHED = {  # means over 8 seeds, by n of COUNTS
    "Herding": (7.40e2, 7.40e2, 7.40e2, 7.40e2, 7.38e2, 1.17e2, 2.95e-3),
    "Uniform": (1.14e-1, 1.01e-1, 3.44e-3, 3.13e-3, 2.99e-3, 2.96e-3, 2.95e-3),
    "K-center": (1.23e-2, 9.53e-2, 1.12e-2, 2.73e-2, 5.93e-2, 1.18e-1, 1.13e0),
    "Adaptive": (3.81e-3, 3.79e-3, 4.83e-3, 4.03e-3, 3.40e-3, 7.34e-3, 3.19e-3),
    "T-leverage": (9.9e-3, 3.63e-3, 3.30e-3, 3.24e-3, 2.98e-3, 2.96e-3, 2.95e-3),
    "R-leverage": (4.08e-3, 3.48e-3, 3.25e-3, 3.09e-3, 3.00e-3, 2.97e-3, 2.95e-3),
    "SkMM": (3.54e-3, 3.31e-3, 3.12e-3, 3.07e-3, 2.98e-3, 2.96e-3, 2.95e-3),
}
OURS = {  # the same algorithms, on the same data
    "Herding": "Herding, farthest, on G",
    "Uniform": "Uniform",
    "K-center": "K-center, on G",
    "Adaptive": "Adaptive, on G",
    "T-leverage": "T-leverage, on G",
    "R-leverage": "R-leverage, on G",
    "SkMM": "SkMM, Adam",
}
SHOWN = ("Uniform", "R-leverage", "Adaptive", "moment matching", "V-optimal", "auto")


def over_seeds(
    rows: Rows, case: str, method: str, risk: str, figure: str = "mean"
) -> dict[int, float]:
    """n -> that figure."""
    mine = (row for row in rows if (row["case"], row["method"]) == (case, method))
    return {row["n"]: row[f"{risk}: {figure}"] for row in mine}


def cases(rows: Rows) -> dict[str, list[str]]:
    """case -> its methods, in order."""
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row["case"], [])
        if row["method"] not in found[row["case"]]:
            found[row["case"]].append(row["method"])
    return found


def beside_published(rows: Rows) -> Rows:
    """Means by n, a line for each method; on the published data, theirs above ours."""
    lines: Rows = []

    def add(case: str, method: str, of_n: dict[int, float]) -> None:
        figures = {f"n = {n}": f"{value:.2e}" for n, value in of_n.items()}
        lines.append({"data": case, "method": method, **figures})

    for who, theirs in PUBLISHED.items():
        add(DATA, f"{who}, table 1", dict(zip(COUNTS, theirs, strict=True)))
        add(DATA, OURS[who], over_seeds(rows, DATA, OURS[who], STOPPED))
    for case, methods in cases(rows).items():
        for method in methods:
            if case != DATA or method not in OURS.values():
                add(
                    case, method, over_seeds(rows, case, method, STOPPED if case == DATA else EXACT)
                )
    return lines


def claims(rows: Rows) -> Rows:
    """What should hold of V-optimal selection: its mean risk beside another's, where it is worst
    over the values of n."""
    found: Rows = []
    for case, methods in cases(rows).items():
        for risk in (EXACT, STOPPED):
            ours = over_seeds(rows, case, "V-optimal", risk)
            for other, counts, bound in (
                ("Uniform", COUNTS, 1.0),
                ("Uniform", (48, 64), 0.2),
                ("R-leverage", (48, 64), 1.0),
                ("R-leverage, ridge 1e4", (48, 64), 1.0),
                ("R-leverage, on G", (48, 64), 1.0),
            ):
                if other in methods:
                    theirs = over_seeds(rows, case, other, risk)
                    ratio, n = max((ours[n] / theirs[n], n) for n in counts)
                    found.append(
                        {
                            "data": case,
                            "risk": risk,
                            "beside": other,
                            "n": ", ".join(map(str, counts)),
                            "should be <=": bound,
                            "worst ratio": f"{ratio:.4g} (n = {n})",
                            "holds": "yes" if ratio <= bound else "no",
                        }
                    )
    return found


def orders(rows: Rows) -> Rows:
    """The methods of the published table by risk as published, best first, there and here. SkMM
    is the authors' algorithm or, better, the same problem solved and a systematic draw."""
    found: Rows = []
    who = np.array(list(PUBLISHED))
    for n, skmm in product(COUNTS[:3], ("SkMM, Adam", "moment matching")):
        ours = [(OURS | {"SkMM": skmm})[name] for name in who]
        there = [PUBLISHED[name][COUNTS.index(n)] for name in who]
        here, middle = (
            [over_seeds(rows, DATA, method, STOPPED, figure)[n] for method in ours]
            for figure in ("mean", "median")
        )
        found.append(
            {
                "n": n,
                "table 1": ", ".join(who[np.argsort(there)]),
                "SkMM by": skmm,
                "here, by mean": ", ".join(who[np.argsort(here)]),
                "Spearman's ρ": float(spearmanr(there, here).statistic),
                "here, by median": ", ".join(who[np.argsort(middle)]),
                "ρ": float(spearmanr(there, middle).statistic),
            }
        )
    return found


def picture(rows: Rows, path: Path) -> None:
    """Means over n, with bars from the least to the most of the seeds; a panel for each case."""
    figure = Figure(figsize=(15, 4.8), layout="constrained")
    names = list(cases(rows))
    for axes, case in zip(figure.subplots(1, len(names)), names, strict=True):
        risk = STOPPED if case == DATA else EXACT
        for i, method in enumerate(SHOWN):
            mine = [row for row in rows if (row["case"], row["method"]) == (case, method)]
            n, middle, least, most = np.array(
                [
                    [row["n"], *(row[f"{risk}: {of}"] for of in ("mean", "least", "most"))]
                    for row in mine
                ]
            ).T
            aside = 1.015 ** (i - len(SHOWN) / 2)
            bars = (middle - least, most - middle)
            axes.errorbar(n * aside, middle, bars, marker="o", ms=4, lw=1, capsize=2, label=method)
        axes.set(xscale="log", yscale="log", xlabel="n", ylabel=risk, title=case)
        axes.set_xticks(COUNTS, COUNTS)
        axes.minorticks_off()
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", title="mean, least, most")
    figure.savefig(path, dpi=100)


def report(rows: Rows) -> None:
    for row in rows:
        uniform = over_seeds(rows, row["case"], "Uniform", EXACT).get(row["n"])
        row["risk: mean, x uniform"] = row["risk: mean"] / uniform if uniform else None
    write(result_path("gmm"), rows)
    picture(rows, result_path("gmm").with_suffix(".png"))
    save("table1", beside_published(rows))
    save("table1_orders", orders(rows))
    save("table1_claims", claims(rows))
