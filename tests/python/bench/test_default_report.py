"""bench/default_report.py: what the tables say is what the figures are."""

import default_report
from compare import summary
from default_report import BASE
from quality import ABOVE, BELOW


def row(method, values, representation="labels", n=10, metric="accuracy"):
    return {
        "task": "toy",
        "classes": 3,
        "parameters": 12,
        "method": method,
        "representation": representation,
        "n": n,
        "N": 100,
        "metrics": {metric: {"better": "high", **summary(values)}},
    }


UNIFORM = row("uniform", [0.5, 0.6, 0.7], None)


def test_a_finetune_where_uniform_draws_win_says_so():
    worse, better = row(BASE, [0.4, 0.49, 0.61]), row("auto, pilot", [0.6, 0.71, 0.79])
    more = [{**r, "n": 20} for r in (UNIFORM, worse)]
    text = "\n".join(default_report.of_finetune([UNIFORM, worse, better, *more]))
    assert "toy: N = 100, 3 classes, 12 parameters, 3 seeds." in text
    assert "**auto, labels**: better than uniform draws in 0 of 2 cases" in text
    assert "worse in 2 (toy: accuracy at n = 10, 20); mean gain -0.100." in text
    assert f"| toy: accuracy, n = 10 | 0.600 | -0.100 ± 0.006{BELOW} | +0.100 ± 0.006{ABOVE} |" in (
        text
    )
    assert f"| toy: accuracy, n = 20 | 0.600 | -0.100 ± 0.006{BELOW} |  |" in text


def test_settings_are_compared_with_the_base_point_seed_by_seed():
    rows = [
        UNIFORM,
        row(BASE, [0.6, 0.7, 0.8]),
        row("linear pilot", [0.65, 0.75, 0.85], "features"),
        row("m = 32", [0.4, 0.5, 0.6]),
        row("ζ = 1", [0.55, 0.72, 0.82], "labels, ζ = 1"),
        row("m = 64", [0.6, 0.7, 0.8]),
    ]
    text = "\n".join(default_report.of_ablation(rows))
    assert "| linear pilot | +0.0500 | 1 | 0 | 0 |" in text
    assert "| m = 32 | -0.2000 | 0 | 1 | 1 |" in text
    assert "| m = 64 | +0.0000 | 0 | 0 | 0 |" in text
    assert "| ζ = 1 | -0.0033 | 0 | 0 | 0 |" in text
    assert f"| **base point** | +0.100 ± 0.000{ABOVE} |" in text
    lines = text.splitlines()
    places = [next(i for i, x in enumerate(lines) if x.startswith(f"| {name} |")) for name in (
        "m = 32", "m = 64", "ζ = 1"
    )]  # fmt: skip
    assert places == sorted(places)
