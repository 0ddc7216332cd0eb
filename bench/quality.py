"""The report of real.json: tables, and what they say, computed from them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import t as student

Row = dict[str, Any]
Who = tuple[str, str | None]  # method, representation
ABOVE, WITHIN, BELOW = "▲", "", "▽"
WHOLE = "whole pool"
UNCERTAIN = (
    *("entropy", "margin", "least-confidence", "el2n", "deepfool", "forgetting"),
    "contextual-diversity",
)


def label(method: str, representation: str | None) -> str:
    return method if representation is None else f"{method}, {representation}"


class Case(NamedTuple):
    """One method beside uniform draws, in one metric of one task."""

    who: Who
    task: str
    metric: str
    n: int
    gains: np.ndarray  # (seeds,), how much better than uniform draws from the same pool

    @property
    def verdict(self) -> str:
        return beyond(self.gains)


def beyond(gains: np.ndarray) -> str:
    """Is the mean gain further from 0 than its standard error over the seeds?"""
    if len(gains) < 2:
        return WITHIN
    mean, se = gains.mean(), gains.std(ddof=1) / len(gains) ** 0.5
    return ABOVE if mean > se else BELOW if mean < -se else WITHIN


def cases(rows: list[Row]) -> list[Case]:
    """All methods but uniform, in all tasks, metrics and counts."""
    uniform = {(row["task"], row["n"]): row for row in rows if row["method"] == "uniform"}
    found = []
    for row in rows:
        if row["method"] not in ("uniform", WHOLE):
            for metric, mine in row["metrics"].items():
                other = uniform[row["task"], row["n"]]["metrics"][metric]
                gains = np.subtract(mine["values"], other["values"])
                if mine["better"] == "low":
                    gains = -gains
                who = row["method"], row["representation"]
                found.append(Case(who, row["task"], metric, row["n"], gains))
    return found


def report(real: list[Row]) -> list[str]:
    """The parts of a section of README.md."""
    return [
        "![Metrics against n](results/real.png)",
        "Seeds change the split, the new head, random targets and what is random in a selection. "
        "Gains are those over uniform draws (several a seed) from the same pool, seed by seed, "
        f"± is their standard error over the seeds; {ABOVE} and {BELOW} mark gains and losses of "
        "more than one standard error. *labels*, *random*: selected by gradients with true labels, "
        "with random targets; *features*: by what goes into the head. Methods of uncertainty see a "
        "proxy that was trained on all labels of the pool, which others do not have. Herding is "
        "the published one, nearest to the mean; GLISTER validates on the pool.",
        "\n".join(_about(real)),
        "### Gains over uniform draws, all n together",
        gain_table(real),
        "### When it helps, when it does not",
        "\n".join(statements(real)),
        "### Figures",
        *tables(real),
    ]


def gain(gains: np.ndarray) -> str:
    """The mean over seeds, its standard error and its mark."""
    text = f"{gains.mean():+.3f}"
    if len(gains) > 1:
        text += f" ± {gains.std(ddof=1) / len(gains) ** 0.5:.3f}"
    return text + beyond(gains)


def _about(rows: list[Row]) -> Iterable[str]:
    for task in unique(row["task"] for row in rows):
        row = next(row for row in rows if row["task"] == task)
        classes = f", {row['classes']} classes" if row["classes"] else ""
        seeds = len(next(iter(row["metrics"].values()))["values"])
        yield f"- {task}: N = {row['N']}{classes}, {row['parameters']} parameters, {seeds} seeds"


def of_v_optimal(rows: list[Row]) -> list[Case]:
    """V-optimal selection by gradients with labels; by those with targets drawn from the model
    where the loss is squared, since with labels these are as long as the errors."""
    squared = {row["task"] for row in rows if row.get("classes") is None}
    return [
        c
        for c in cases(rows)
        if c.who == ("v-optimal", "random" if c.task in squared else "labels")
    ]


def statements(rows: list[Row]) -> list[str]:
    """What the figures say."""
    found, seeds = cases(rows), len(next(iter(rows[0]["metrics"].values()))["values"])
    default = of_v_optimal(rows)
    n_cases = len({(c.task, c.metric, c.n) for c in found})
    chance = float(student.sf(1, max(seeds - 1, 1)))
    lines = [
        f"A case is a task, a metric and an n: {n_cases} in all. Without any difference, some "
        f"{chance:.0%} would be {ABOVE} and as many {BELOW}.\n"
    ]
    if default:
        several = [c.verdict for c in default]
        who = {c.task: c.who for c in default}
        mean = "; ".join(
            f"{task}, {metric}, {together(found, who[task], task, metric).mean():+.3f}"
            for task, metric in unique((c.task, c.metric) for c in default)
        )
        lines.append(
            "**V-optimal selection** (sparse signs with ζ = 8, m = n/2 up to 512, "
            "gradients at a new head: with labels, or with targets drawn from the model where the "
            f"loss is squared) is better than uniform draws in {several.count(ABOVE)} of "
            f"{len(several)} cases, within one standard error in {several.count(WITHIN)}, worse in "
            f"{several.count(BELOW)}. Mean gains over all n: {mean}.\n"
        )
    for method in ("v-optimal", "moment-matching", "class-balanced"):
        for who in unique(c.who for c in found if c.who[0] == method):
            lines.append(f"- {_tally(label(*who), [c for c in found if c.who == who])}")
            ratio = _v_ratio(rows, who)
            if ratio is not None:
                lines[-1] += (
                    f" Its V-optimality is {ratio:.2f} times that of uniform draws (median)."
                )
    uncertain = [c for c in found if c.who[0] in UNCERTAIN]
    if uncertain:
        lost = sum(c.verdict == BELOW for c in uncertain)
        lines.append(f"- Methods of uncertainty: worse in {lost} of {len(uncertain)} cases.")
    matched = [c for c in found if c.who == ("moment-matching", "labels")]
    near, far = (_v_ratio(rows, (who, "labels")) for who in ("moment-matching", "v-optimal"))
    if near and far and near > far and 2 * sum(c.verdict == ABOVE for c in matched) < len(matched):
        lines.append(
            "\nWhy moment matching gives little: with c_S near 1 it asks only that no direction be "
            "much weaker in S than in the pool, which uniform draws nearly fulfil. Its median "
            f"V-optimality is {near:.2f} times theirs, that of V-optimal selection {far:.2f} times."
        )
    return [*lines, "", *safe(rows)]


def _tally(name: str, found: list[Case]) -> str:
    several = {mark: [c for c in found if c.verdict == mark] for mark in (ABOVE, WITHIN, BELOW)}
    text = f"**{name}**: better than uniform in {len(several[ABOVE])} of {len(found)} cases"
    text += f"{places(several[ABOVE])}, within one standard error in {len(several[WITHIN])}, "
    return f"{text}worse in {len(several[BELOW])}{places(several[BELOW])}."


def places(found: list[Case]) -> str:
    """(task: metric at n, n; ...), or nothing."""
    named = unique((c.task, c.metric) for c in found)
    lines = [
        f"{task}: {metric} at n = "
        + ", ".join(str(c.n) for c in found if (c.task, c.metric) == (task, metric))
        for task, metric in named
    ]
    return f" ({'; '.join(lines)})" if lines else ""


def safe(rows: list[Row]) -> list[str]:
    """Who is never worse than uniform draws, all n of a task and metric together."""
    found = cases(rows)
    columns = unique((c.task, c.metric) for c in found)
    sure = []
    for who in unique(c.who for c in found):
        verdicts = [beyond(g) for k in columns if (g := together(found, who, *k)).size]
        if BELOW not in verdicts:
            where = "" if len(verdicts) == len(columns) else f" (of {len(verdicts)})"
            sure.append(f"{label(*who)} (better in {verdicts.count(ABOVE)}{where})")
    named = "; ".join(sure) if sure else "none"
    return [
        f"Not worse than uniform draws by more than one standard error in any of the "
        f"{len(columns)} columns above: {named}."
    ]


def together(found: list[Case], who: Who, task: str, metric: str) -> np.ndarray:
    """(seeds,) gains, the mean over n; empty where the task has not this method."""
    several = [c.gains for c in found if (c.who, c.task, c.metric) == (who, task, metric)]
    return np.mean(several, axis=0) if several else np.empty(0)


def _v_ratio(rows: list[Row], who: Who) -> float | None:
    """The median of tr(Σ̃ Σ̃_S⁻¹) beside its mean for uniform draws, where both span."""
    ratios = [
        mine / uniform
        for row in rows
        if (row["method"], row["representation"]) == who and who[1] is not None
        for mine, uniform in zip(
            row["v_optimality"]["values"], row["v_optimality"]["uniform"], strict=True
        )
        if mine is not None and uniform is not None
    ]
    return float(np.median(ratios)) if ratios else None


def gain_table(rows: list[Row]) -> str:
    """Mean gains over all n; the largest of a column in bold; best methods first."""
    found = cases(rows)
    columns = unique((c.task, c.metric) for c in found)
    whos = unique(c.who for c in found)
    gains = {(who, k): together(found, who, *k) for who in whos for k in columns}
    mean = np.array(
        [[gains[who, k].mean() if gains[who, k].size else np.nan for k in columns] for who in whos]
    )
    lines = [
        "| | " + " | ".join(f"{task}: {metric}" for task, metric in columns) + " |",
        "|---|" + "---|" * len(columns),
    ]
    ranks = np.array([(np.nan_to_num(mean, nan=-np.inf) > x).sum(0) for x in mean], float)
    ranks[np.isnan(mean)] = np.nan
    for i in np.nanmean(ranks, 1).argsort(kind="stable"):
        cells = []
        for j, k in enumerate(columns):
            g = gains[whos[i], k]
            if not g.size:
                cells.append("")
                continue
            text = gain(g).removesuffix(beyond(g))
            cells.append((f"**{text}**" if ranks[i, j] == 0 else text) + beyond(g))
        lines.append(f"| {label(*whos[i])} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def tables(rows: list[Row]) -> list[str]:
    """A table for each task: methods in order of their mean rank, and what they cost."""
    return [
        part
        for task in unique(row["task"] for row in rows)
        for part in (f"**{task}**", _table([row for row in rows if row["task"] == task]))
    ]


def _table(rows: list[Row]) -> str:
    whole = [row for row in rows if row["method"] == WHOLE]
    selected = [row for row in rows if row["method"] != WHOLE]
    by_name = {(label(row["method"], row["representation"]), row["n"]): row for row in selected}
    names, counts = unique(name for name, _ in by_name), sorted({n for _, n in by_name})
    columns = [(metric, n) for metric in rows[0]["metrics"] for n in counts]
    marks = {
        (label(*c.who), c.metric, c.n): c.verdict
        for c in (cases(selected) if any(r["method"] == "uniform" for r in selected) else [])
    }
    good = {metric: x["better"] == "high" for metric, x in rows[0]["metrics"].items()}
    mean = np.array(
        [
            [(1 if good[k] else -1) * by_name[name, n]["metrics"][k]["mean"] for k, n in columns]
            for name in names
        ]
    )
    ranks = np.array([(mean > x).sum(0) for x in mean])
    lines = [
        "| | " + " | ".join(f"{metric}, n = {n}" for metric, n in columns) + " | seconds |",
        "|---|" + "---|" * (len(columns) + 1),
    ]
    for i in ranks.mean(1).argsort(kind="stable"):
        name, cells = names[i], []
        for j, (metric, n) in enumerate(columns):
            text = _figure(by_name[name, n]["metrics"][metric])
            best = f"**{text}**" if ranks[i, j] == 0 else text
            cells.append(best + marks.get((name, metric, n), WITHIN))
        seconds = np.mean([by_name[name, n]["seconds"] for n in counts])
        shown = f"*{name}*" if name == "uniform" else name
        lines.append(f"| {shown} | " + " | ".join(cells) + f" | {seconds:.2g} |")
    for row in whole:
        cells = [_figure(row["metrics"][k]) if n == counts[0] else "" for k, n in columns]
        lines.append(f"| whole pool, {row['N']} rows | " + " | ".join(cells) + " | |")
    return "\n".join(lines)


def _figure(metric: dict[str, Any]) -> str:
    return f"{metric['mean']:.3f}" + (f" ± {metric['se']:.3f}" if metric["se"] else "")


def unique(values: Iterable[Any]) -> Sequence[Any]:
    return list(dict.fromkeys(values))
