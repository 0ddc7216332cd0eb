"""One comparison loop: selections by several methods, each finetuned on and tested.

A user's own method is a function f(Z, n, seed) -> n distinct rows of Z, the (N, m) sketch:

    # mine.py
    def largest(Z, n, seed):
        return (Z**2).sum(1).argsort()[-n:]

    $ python bench/real.py --method mine:largest

or, where it has options or needs what a task knows of its samples, an entry of METHODS:

    METHODS["mine"] = Method(largest, options={}, needs=("y",), sees=("labels",))
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import numpy as np
from tqdm import tqdm

import skmm_fast as skmm


class Score(Protocol):
    """Metrics after finetuning on rows of the pool, where given with their weights."""

    def __call__(
        self, rows: np.ndarray, seed: int, weights: np.ndarray | None = None
    ) -> Mapping[str, float]: ...


@dataclass(frozen=True)
class Task:
    """A pool to select from and what a selection is worth, of one seed: that of the split into pool
    and test, of new heads and of random targets."""

    name: str
    metrics: Mapping[str, str]  # name -> the "high" or the "low" ones are good
    # Representation -> (N, r) dense or CSR: "labels" (gradients, true labels), "random" (gradients,
    # random targets), "features" (no labels, no head); or others. Methods that look at none of
    # them are judged by the V-optimality in the first.
    pool: Mapping[str, Any]
    score: Score
    # What options of methods are made of: y, and of a proxy model probs, logits, head, record;
    # validation: representation -> rows
    inputs: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)  # for the report: classes, r, ...
    marks: Mapping[str, np.ndarray] = field(default_factory=dict)  # (N,) bool: rows with a flaw


MAIN, LABELS = ("labels", "random", "features"), ("labels",)


Options = Mapping[str, Any]


class Method(NamedTuple):
    method: str | Callable[..., Any]  # of skmm.select
    options: Options | Callable[[int], Options] = MappingProxyType({})  # or n -> options
    needs: tuple[str, ...] = ()  # inputs of the task that are passed on, as options of their name
    sees: tuple[str, ...] = MAIN  # representations; (): none matters
    draws: int = 1  # per seed
    weighted: bool = False  # finetune with the weights that the selection has
    labelled: bool = False  # gets the labels or targets of the task, where it has some, as y


METHODS: dict[str, Method] = {
    "uniform": Method("uniform", sees=(), draws=5),
    "auto": Method("auto", labelled=True),
    "v-optimal": Method("v-optimal"),
    "moment-matching": Method("moment-matching"),
    "moment-matching, c_S = .9": Method("moment-matching", {"weighting": "relative", "c_s": 0.9}),
    "r-leverage": Method("r-leverage"),
    "k-center": Method("k-center"),
    "herding": Method("herding"),
    "adaptive": Method("adaptive", sees=LABELS),
    "t-leverage": Method("t-leverage", sees=LABELS),
    "grand": Method("grand", sees=LABELS),
    "glister": Method("glister", sees=LABELS),
    "class-balanced": Method("class-balanced", needs=("y",), sees=()),
    "entropy": Method("entropy", needs=("probs",), sees=()),
    "margin": Method("margin", needs=("probs",), sees=()),
    "least-confidence": Method("least-confidence", needs=("probs",), sees=()),
    "el2n": Method("el2n", needs=("probs", "y"), sees=()),
    "contextual-diversity": Method("contextual-diversity", needs=("probs",), sees=()),
    "deepfool": Method("deepfool", needs=("logits", "head"), sees=()),
    "forgetting": Method("forgetting", needs=("record",), sees=()),
}


def own(where: str) -> tuple[str, Method]:
    """The function at "module:function", as an entry of METHODS."""
    module, _, function = where.partition(":")
    return function, Method(getattr(import_module(module), function))


def compare(
    make_task: Callable[[int], Task],
    methods: Mapping[str, Method],
    counts: Sequence[int],
    seeds: Sequence[int],
    *,
    whole: bool = False,
    n_threads: int | None = None,
    progress: bool = False,
) -> list[dict[str, Any]]:
    """Rows of a JSON: one for each method, representation that it sees, and n, over all seeds.

    Parameters
    ----------
    make_task : seed -> Task, of the same names each time
    methods : name -> Method; one that needs an input which the task has not, or sees none of its
        representations, is left out
    counts : values of n
    seeds : each is that of a task, and of the selections from it
    whole : finetune on all rows of the pool too
    n_threads : of the selections
    progress : show a bar

    Returns
    -------
    rows : task, its facts, method, representation (None: none matters), n, N, r of what select
        saw, and over the seeds
        metrics : name -> {better, values (a seed; the mean of its draws), mean, std, se}: std is
            that of the values, se = std / sqrt(seeds), None of one seed
        v_optimality : {values, bound, uniform}, tr(Σ̃ Σ̃_S⁻¹) a seed (first draw), the certified
            bound below it and the mean of uniform draws; None where a selection does not span
        marks : name -> {values (a seed; the mean of its draws), pool}, the share of marked rows in
            what was chosen and in the pool
        seconds : of one skmm.select (sketch, selection and diagnosis), the mean
    """
    found: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    with tqdm(disable=not progress, unit=" models") as bar:
        for seed in seeds:
            task = make_task(seed)
            models = sum(m.draws * len(counts) for _, _, m in trials(task, methods)) + whole
            bar.set_description(task.name)
            bar.total = models * len(seeds)
            for key, results in _of_seed(task, methods, counts, seed, whole, n_threads, bar.update):
                found.setdefault(key, []).append(results)
    if any(len(results) != len(seeds) for results in found.values()):
        raise ValueError("make_task: expected pools of one shape for all seeds, got several")
    return [
        {
            "task": task.name,
            **task.facts,
            **dict(zip(("method", "representation", "n", "N", "r"), key, strict=True)),
            "metrics": {
                name: {"better": better, **summary([x["metrics"][name] for x in results])}
                for name, better in task.metrics.items()
            },
            "v_optimality": {
                name: [x["v_optimality"][name] for x in results]
                for name in results[0]["v_optimality"]
            },
            "marks": {
                name: {
                    "values": [_figure(x["marks"][name]) for x in results],
                    "pool": _figure(task.marks[name].mean()),
                }
                for name in task.marks
            },
            "seconds": _figure(np.mean([x["seconds"] for x in results])),
        }
        for key, results in found.items()
    ]


def trials(task: Task, methods: Mapping[str, Method]) -> Iterator[tuple[str, str | None, Method]]:
    """(name, representation, method) of all that this task can do."""
    for name, method in methods.items():
        if set(method.needs) <= set(task.inputs):
            for representation in method.sees or (None,):
                if representation is None or representation in task.pool:
                    yield name, representation, method


def summary(values: Sequence[float]) -> dict[str, Any]:
    std = np.std(values, ddof=1) if len(values) > 1 else np.inf
    return {
        "values": [_figure(v) for v in values],
        "mean": _figure(np.mean(values)),
        "std": _figure(std),
        "se": _figure(std / len(values) ** 0.5),
    }


def _of_seed(
    task: Task,
    methods: Mapping[str, Method],
    counts: Sequence[int],
    seed: int,
    whole: bool,
    n_threads: int | None,
    done: Callable[[], Any],
) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    first = next(iter(task.pool))
    N = task.pool[first].shape[0]
    for name, representation, method in trials(task, methods):
        X = task.pool[representation or first]
        for n in counts:
            options: dict[str, Any] = {"n_threads": n_threads}
            options |= method.options(n) if callable(method.options) else method.options
            for need in method.needs:
                given = task.inputs[need]
                options[need] = given[representation] if isinstance(given, Mapping) else given
            if method.labelled:
                options["y"] = task.inputs.get("y", task.inputs.get("targets"))
            scores, began = [], time.perf_counter()
            selections = [
                skmm.select(X, n, method=method.method, seed=seed * method.draws + draw, **options)
                for draw in range(method.draws)
            ]
            seconds = (time.perf_counter() - began) / method.draws
            for selection in selections:
                weights = getattr(selection, "weights", None) if method.weighted else None
                scores.append(task.score(selection.indices, seed, weights))
                done()
            d, draws = selections[0].diagnosis, selections[0].diagnosis.random_v_optimality
            yield (
                (name, representation, n, N, X.shape[1]),
                {
                    "metrics": {k: np.mean([s[k] for s in scores]) for k in task.metrics},
                    "v_optimality": {
                        "values": _figure(d.v_optimality),
                        "bound": _figure(d.lower_bound),
                        "uniform": _figure(draws.mean()) if len(draws) else None,
                    },
                    "marks": {
                        name: np.mean([mark[x.indices].mean() for x in selections])
                        for name, mark in task.marks.items()
                    },
                    "seconds": seconds,
                },
            )
    if whole:
        scored = task.score(np.arange(N), seed)
        yield (
            ("whole pool", None, N, N, task.pool[first].shape[1]),
            {
                "metrics": scored,
                "v_optimality": {},
                "marks": {name: mark.mean() for name, mark in task.marks.items()},
                "seconds": 0.0,
            },
        )
        done()


def _figure(value: Any) -> float | None:
    """Six digits of what is finite."""
    return float(f"{value:.6g}") if np.isfinite(value) else None
