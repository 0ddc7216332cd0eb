"""`skmm-fast demo`: choose finetuning data for a small network on real images; check the choice.

The images are scikit-learn's digits. A network learns five of the ten classes and gets a new head
for all ten. From a pool with all ten classes, rows are chosen by the gradients of the last two
layers. These layers are finetuned on the chosen rows, on uniform draws and on the whole pool, and
all are tested.
"""

from __future__ import annotations

import copy
import json
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from .._plot import draw_pool, draw_spectrum
from .._select import select
from .._selection import Selection
from .._support.files import write_whole
from .._support.optional import need
from ..gradients import GradientSketcher
from ..methods.registry import MethodName

COUNTS = (50, 100, 200)  # the numbers n of rows to choose
SEEDS = 5  # repetitions, each with a split, a network and a sketch of its own
UNIFORM_DRAWS = 3  # uniform draws for each seed and n
METHODS: dict[MethodName, dict[str, Any]] = {
    "auto": {},
    "v-optimal": {},
    "moment-matching": {"weighting": "relative", "c_s": 0.9},
}
TUNED = (2, 4)  # numbers in `network()` of the layers that are finetuned, the last two

Images = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Weights = npt.NDArray[np.floating[Any]]
Selections = dict[tuple[str, int], Selection]  # (method, n) -> a selection
Scores = dict[tuple[str, int], list[tuple[float, float]]]  # (method, n) -> (accuracy, macro-F1)


class Clock:
    """Adds up the seconds spent in each stage: `with clock(stage): ...`."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds[stage] += time.perf_counter() - began


def run(out: Path, seeds: int = SEEDS, counts: tuple[int, ...] = COUNTS) -> dict[str, Any]:
    """Run the demo; write demo.png and demo.json to the folder `out`; return the JSON's values."""
    out.mkdir(parents=True, exist_ok=True)
    tqdm = need("tqdm", "cli").tqdm
    load_digits = need("sklearn.datasets", "sklearn").load_digits
    data, target = load_digits(return_X_y=True)
    X, y = (data / 16).astype(np.float32), target.astype(np.int64)
    clock, scores = Clock(), defaultdict(list)
    chosen: list[dict[str, Any]] = []
    first: Selections = {}  # of the first seed

    runs = 2 + len(counts) * (len(METHODS) + UNIFORM_DRAWS)
    with tqdm(total=seeds * runs, desc="demo", unit=" models") as bar:
        for seed in range(seeds):
            known, pool, test = split(y, seed)
            with clock("pretrain"):
                base = pretrained(X[known], y[known], seed)
                bar.update()
            with clock("gradients and sketch"):
                sketcher = GradientSketcher(base, params="last-2", sketch_dim=512, seed=seed)
                Z = sketcher((torch.from_numpy(X[pool]), torch.from_numpy(y[pool])))

            trials = [("whole pool", pool)]
            rng = np.random.default_rng(seed)
            for n in counts:
                for method, options in METHODS.items():
                    with clock(f"select ({method})"):
                        selection = select(Z, n, method=method, y=y[pool], seed=seed, **options)
                    rows = selection.subset(pool)
                    if seed == 0:
                        first[method, n] = selection
                    chosen.append(
                        {"method": method, "n": n, "seed": seed, "indices": rows.tolist()}
                    )
                    trials.append((method, rows))
                for _ in range(UNIFORM_DRAWS):
                    trials.append(("uniform", rng.choice(pool, n, replace=False)))
            for what, rows in trials:
                with clock("finetune and test"):
                    model = finetuned(base, X[rows], y[rows])
                    scores[what, len(rows)].append(score(model, X[test], y[test]))
                bar.update()

    result = {
        "dataset": "sklearn.datasets.load_digits",
        "n_params": sketcher.n_params,
        "scores": [
            {
                "method": method,
                "n": n,
                "accuracy": [a for a, _ in pairs],
                "macro_f1": [f for _, f in pairs],
            }
            for (method, n), pairs in scores.items()
        ],
        "seconds": dict(clock.seconds),
        "selections": chosen,
    }
    write_whole(out / "demo.json", lambda f: f.write(json.dumps(result, indent=1).encode()))
    report(scores, first, clock)
    picture(out / "demo.png", scores, first["auto", counts[len(counts) // 2]])
    print(f"\nwritten: {out / 'demo.png'} (picture), {out / 'demo.json'} (scores, indices)")
    return result


def split(y: Labels, seed: int) -> tuple[Labels, Labels, Labels]:
    """Row numbers (known, pool, test): 300 of classes 0 to 4 to pretrain on, the pool to choose
    from, 500 to test on."""
    order = np.random.default_rng(seed).permutation(len(y))
    test, rest = order[:500], order[500:]
    known = rest[y[rest] < 5][:300]
    return known, np.setdiff1d(rest, known), test


def network() -> torch.nn.Sequential:
    """A network with random weights for images of 64 pixels and ten classes."""
    nn = torch.nn
    return nn.Sequential(
        nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)
    )


def pretrained(X: Images, y: Labels, seed: int) -> torch.nn.Sequential:
    """A network that knows five classes, with a new head for all ten."""
    torch.manual_seed(seed)
    model = train(network(), X, y, steps=200)
    model[4] = torch.nn.Linear(32, 10)
    return model.eval()


def finetuned(
    base: torch.nn.Sequential, X: Images, y: Labels, weights: Weights | None = None
) -> torch.nn.Sequential:
    """A copy of `base` with its last two layers trained on these rows."""
    model = copy.deepcopy(base)
    for name, p in model.named_parameters():
        p.requires_grad_(int(name.partition(".")[0]) in TUNED)
    return train(model, X, y, steps=300, weights=weights)


def train(
    model: torch.nn.Sequential, X: Images, y: Labels, steps: int, weights: Weights | None = None
) -> torch.nn.Sequential:
    """Train the model in place, on all rows in each step, and return it in eval mode."""
    inputs, labels = torch.from_numpy(X), torch.from_numpy(y)
    shares = None if weights is None else torch.from_numpy(weights / weights.sum()).float()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-2, weight_decay=1e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        logits = model(inputs)
        if shares is None:
            loss = torch.nn.functional.cross_entropy(logits, labels)
        else:
            loss = shares @ torch.nn.functional.cross_entropy(logits, labels, reduction="none")
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return model.eval()


@torch.no_grad()
def score(model: torch.nn.Sequential, X: Images, y: Labels) -> tuple[float, float]:
    """(accuracy, macro-F1) of the model on these rows."""
    metrics = need("sklearn.metrics", "sklearn")
    predicted = model(torch.from_numpy(X)).argmax(1).numpy()
    return float((predicted == y).mean()), float(metrics.f1_score(y, predicted, average="macro"))


def report(scores: Scores, first: Selections, clock: Clock) -> None:
    """Print the scores, how good the first seed's selections are, and the times."""

    def cell(values: list[float]) -> str:
        return f"{np.mean(values):.3f} ± {np.std(values):.3f}"

    print(f"\n{'n':>5}  {'method':<16} {'test accuracy':<15} {'macro-F1':<15} models")
    for (method, n), pairs in sorted(scores.items(), key=lambda item: item[0][1]):
        accuracy, f1 = (list(values) for values in zip(*pairs, strict=True))
        print(f"{n:>5}  {method:<16} {cell(accuracy):<15} {cell(f1):<15} {len(pairs)}")
    print("\nV-optimality tr(Σ̃ Σ̃_S⁻¹) of the first seed's v-optimal selections (lower is better)")
    print(f"{'n':>5} {'rank':>5}  {'ours':>7}  {'uniform':>15}  {'certified bound':>15}")
    for (method, n), selection in first.items():
        if method != "v-optimal":
            continue
        d = selection.diagnosis
        random = f"{d.random_v_optimality.mean():.1f} ± {d.random_v_optimality.std():.1f}"
        print(f"{n:>5} {d.rank:>5}  {d.v_optimality:>7.1f}  {random:>15}  {d.lower_bound:>15.1f}")
    print("\nverdicts on the first seed's auto selections")
    for (method, n), selection in first.items():
        if method == "auto":
            print(f"{n:>5}  {selection.diagnosis.verdict}")
    print("\nseconds, all seeds")
    for stage, seconds in clock.seconds.items():
        print(f"  {stage:<26} {seconds:8.2f}")


def picture(path: Path, scores: Scores, selection: Selection) -> None:
    """Draw the pool with a selection, the spectrum and the scores, into a file."""
    figure = need("matplotlib.figure", "plot").Figure(figsize=(14, 4.2), layout="constrained")
    pool_axes, spectrum_axes, score_axes = figure.subplots(1, 3)
    draw_pool(pool_axes, selection.picture, selection.diagnosis, "auto")
    draw_spectrum(spectrum_axes, selection.picture, selection.diagnosis)
    for place, method in enumerate(("uniform", *METHODS)):
        counts = sorted(n for what, n in scores if what == method)
        accuracy = [[a for a, _ in scores[method, n]] for n in counts]
        score_axes.errorbar(
            [n + 2 * (place - len(METHODS) / 2) for n in counts],  # bars beside each other
            [np.mean(a) for a in accuracy], [np.std(a) for a in accuracy],
            marker="o", capsize=3, label=method,
        )  # fmt: skip
    whole = next(pairs for (what, _), pairs in scores.items() if what == "whole pool")
    score_axes.axhline(np.mean([a for a, _ in whole]), color="0.5", ls=":", label="whole pool")
    score_axes.set(xlabel="n", ylabel="test accuracy (mean ± std)", title="after finetuning")
    score_axes.legend(fontsize=8)
    figure.savefig(path, dpi=100)
