"""Baselines beside plain versions of the same rules, in one run; both must choose the same rows.

The versions in torch go about it as DeepCore does (Guo et al. 2022; written here from the
definitions): a pick copies the rows not chosen, and makes a matrix of squared distances from one
row to these by pow, sum and addmm; scores are made batch by batch, with a sort at the end. Two
things differ, so that the rows are the same: its herding takes the farthest row, ours and the one
here the nearest, which is the definition; its GLISTER never updates the gradient. It has no
leverage scores and no adaptive draws: these are beside NumPy, one product with Z a pick.

"picks timed": theirs for so many picks, without what comes before the first; the seconds are
those of n picks at that rate. Ours are n picks: a whole `select`, with its spectrum, diagnosis and
picture, and the method alone; for leverage this includes the spectrum, as theirs does. "x read": a
pass of ours beside a sum of what is read, the limit of one read a pick (contextual diversity reads
logarithms too).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch

import skmm_fast as skmm
from bench_select import pool
from common import in_turns, save
from problems import problem_of
from skmm_fast.methods.registry import REGISTRY
from skmm_fast.pool.pool import Pool

N, M, COUNT, CLASSES, EPOCHS = 50_000, 128, 1000, 100, 20
BATCH = 256
THREADS = 2


class Case(NamedTuple):
    method: str
    options: dict[str, Any]  # of select
    read: np.ndarray | None  # what a pass reads
    theirs: Callable[..., Any]  # (picks, first row) -> rows, or () -> scores of all rows
    picks: int = 0  # of theirs to time; 0: one pass for all n
    rows: str = "equal"  # to ours: "equal", "from a first row", "by score" or "drawn"
    beside: str = "torch"


def distances(rows: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """Euclidean, (n, k)."""
    squares = rows.pow(2).sum(1, keepdim=True) + others.pow(2).sum(1)
    return squares.addmm(rows, others.T, beta=1, alpha=-2).clamp(min=1e-12).sqrt()


def divergences(rows: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """Symmetric Kullback-Leibler, (n, k), of rows that are distributions."""
    p, q = rows[:, None].repeat(1, len(others), 1), others[None].repeat(len(rows), 1, 1)
    return (0.5 * p * (p / q).log() + 0.5 * q * (q / p).log()).sum(2)


def herding(Z: torch.Tensor) -> Callable[..., Any]:
    mean, index = Z.mean(0), torch.arange(len(Z))

    def choose(picks: int, _first: int = 0) -> torch.Tensor:
        selected = torch.zeros(len(Z), dtype=torch.bool)
        for t in range(picks):
            target = (t + 1) * mean - Z[selected].sum(0)
            nearest = distances(target[None], Z[~selected]).argmin()
            selected[index[~selected][nearest]] = True
        return index[selected]

    return choose


def farthest_first(Z: torch.Tensor, metric: Callable[..., torch.Tensor]) -> Callable[..., Any]:
    def choose(picks: int, first: int = 0) -> torch.Tensor:
        selected = torch.zeros(len(Z), dtype=torch.bool)
        nearest = torch.full((len(Z),), torch.inf)
        row = first
        for _ in range(picks):
            selected[row] = True
            nearest[row] = -1
            others = ~selected
            nearest[others] = torch.minimum(nearest[others], metric(Z[[row]], Z[others])[0])
            row = int(nearest.argmax())
        return torch.nonzero(selected)[:, 0]

    return choose


def glister(Z: torch.Tensor, n: int) -> Callable[..., Any]:
    M = Z.T @ Z / len(Z)
    eta, mean, index = 1 / torch.linalg.eigvalsh(M)[-1], Z.mean(0), torch.arange(len(Z))

    def choose(picks: int, _first: int = 0) -> torch.Tensor:
        selected = torch.zeros(len(Z), dtype=torch.bool)
        v = mean.clone()
        for _ in range(picks):
            row = index[~selected][(Z[~selected] @ v).argmax()]
            selected[row] = True
            v -= eta / n * (M @ Z[row])
        return index[selected]

    return choose


def by_batches(
    score: Callable[..., Any], *arrays: np.ndarray | torch.Tensor
) -> Callable[[], np.ndarray]:
    """Scores of all rows, batch by batch."""

    def scores() -> np.ndarray:
        starts = range(0, len(arrays[0]), BATCH)
        return np.concatenate([score(*(a[i : i + BATCH] for a in arrays)) for i in starts])

    return scores


def entropy(logits: torch.Tensor) -> np.ndarray:
    p = logits.softmax(1).numpy()
    return -(p * np.log(p + 1e-30)).sum(axis=1)


def margin(logits: torch.Tensor) -> np.ndarray:
    p = logits.softmax(1)
    rows, best = torch.arange(len(p)), p.argmax(1)
    largest = p[rows, best].clone()
    p[rows, best] = -1
    return (1 - (largest - p[rows, p.argmax(1)])).numpy()


def least_confidence(logits: torch.Tensor) -> np.ndarray:
    return 1 - logits.softmax(1).max(1).values.numpy()


def el2n(logits: torch.Tensor, y: torch.Tensor) -> np.ndarray:
    return (logits.softmax(1) - torch.nn.functional.one_hot(y, CLASSES)).norm(dim=1).numpy()


def deepfool(head: torch.Tensor) -> Callable[[torch.Tensor], np.ndarray]:
    def score(logits: torch.Tensor) -> np.ndarray:
        best, least = logits.argmax(1), torch.full((len(logits),), torch.inf)
        rows = torch.arange(len(logits))
        for k in range(logits.shape[1]):
            far = (logits[rows, best] - logits[:, k]) / (head[best] - head[k]).norm(dim=1)
            least = torch.where(best == k, least, torch.minimum(least, far))
        return -least.numpy()

    return score


def grand(Z: torch.Tensor) -> np.ndarray:
    return Z.norm(dim=1).numpy()


def forgetting(record: torch.Tensor) -> Callable[[], np.ndarray]:
    """A batch after the other in each epoch, as in training."""

    def scores() -> np.ndarray:
        n_rows = record.shape[1]
        events, before = torch.zeros(n_rows), torch.zeros(n_rows)
        for epoch in record:
            for i in range(0, n_rows, BATCH):
                batch = torch.arange(i, min(i + BATCH, n_rows))
                now = epoch[batch].float()
                events[batch] += (before[batch] - now > 0.01).float()
                before[batch] = now
        events[~record.any(0)] = torch.inf
        return events.numpy()

    return scores


def adaptive(Z: np.ndarray) -> Callable[..., Any]:
    """Random pivoting: residual norms, less the squares of one product with Z a pick."""
    rng, norms = np.random.default_rng(0), np.square(Z).sum(axis=1)

    def choose(picks: int, _first: int = 0) -> np.ndarray:
        left, residual, Q = np.ones(len(Z)), norms, np.empty((0, Z.shape[1]), Z.dtype)
        for _ in range(picks):
            if len(Q) == Z.shape[1]:
                residual, Q = norms, Q[:0]
            p = (left * residual).astype(np.float64)
            row = rng.choice(len(Z), p=p / p.sum())
            left[row] = 0
            q = Z[row] - (Z[row] @ Q.T) @ Q
            q -= (q @ Q.T) @ Q
            q /= np.linalg.norm(q)
            Q = np.vstack([Q, q])
            residual = np.maximum(residual - np.square(Z @ q), 0)
        return np.flatnonzero(left == 0)

    return choose


def leverage(Z: np.ndarray, n: int, rank: int, ridge: float) -> Callable[..., Any]:
    """Scores by the eigenvectors of ZᵀZ; drawn by weights, which gives other probabilities."""
    rng = np.random.default_rng(0)

    def choose() -> np.ndarray:
        lam, V = np.linalg.eigh(Z.T @ Z)
        scores = np.square(Z @ V[:, -rank:]) @ (1 / (lam[-rank:] + ridge))
        p = scores.astype(np.float64)
        return rng.choice(len(Z), n, replace=False, p=p / p.sum())

    return choose


def uniform(n_rows: int, n: int) -> Callable[..., Any]:
    rng = np.random.default_rng(0)
    return lambda: rng.choice(n_rows, n, replace=False)


def class_balanced(y: np.ndarray, n: int) -> Callable[..., Any]:
    rng, each = np.random.default_rng(0), n // CLASSES

    def choose() -> np.ndarray:
        return np.concatenate(
            [rng.choice(np.flatnonzero(y == c), each, replace=False) for c in range(CLASSES)]
        )

    return choose


def cases(n_rows: int, n: int) -> tuple[np.ndarray, list[Case]]:
    """Z, and every method with a peer."""
    rng, Z = np.random.default_rng(1), pool(n_rows, M)
    logits = 2 * rng.standard_normal((n_rows, CLASSES)).astype(np.float32)
    head = rng.standard_normal((CLASSES, M)).astype(np.float32)
    y = rng.permutation(np.arange(n_rows) % CLASSES)
    record = rng.random((EPOCHS, n_rows)) < np.linspace(0.2, 0.9, EPOCHS)[:, None]
    rank, ridge = M // 2, 1.0

    rows, f, labels = torch.from_numpy(Z), torch.from_numpy(logits), torch.from_numpy(y)
    probs = f.softmax(1)
    W, L, R = {"logits": logits}, "by score", "from a first row"
    return Z, [
        Case("herding", {}, Z, herding(rows), 50),
        Case("k-center", {}, Z, farthest_first(rows, distances), 50, R),
        Case("contextual-diversity", {"probs": probs.numpy()}, probs.numpy(),
             farthest_first(probs, divergences), 10, R),
        Case("glister", {}, Z, glister(rows, n), 50),
        Case("adaptive", {}, Z, adaptive(Z), 50, "drawn", "NumPy"),
        Case("t-leverage", {"rank": rank}, Z, leverage(Z, n, rank, 0), 0, "drawn", "NumPy"),
        Case("r-leverage", {"ridge": ridge}, Z, leverage(Z, n, M, ridge), 0, "drawn", "NumPy"),
        Case("grand", {}, Z, by_batches(grand, rows), 0, L),
        Case("entropy", W, logits, by_batches(entropy, f), 0, L),
        Case("margin", W, logits, by_batches(margin, f), 0, L),
        Case("least-confidence", W, logits, by_batches(least_confidence, f), 0, L),
        Case("el2n", W | {"y": y}, logits, by_batches(el2n, f, labels), 0, L),
        Case("deepfool", W | {"head": head}, logits,
             by_batches(deepfool(torch.from_numpy(head)), f), 0, L),
        Case("forgetting", {"record": record}, record, forgetting(torch.from_numpy(record)), 0, L),
        Case("uniform", {}, None, uniform(n_rows, n), 0, "drawn", "NumPy"),
        Case("class-balanced", {"y": y}, None, class_balanced(y, n), 0, "drawn", "NumPy"),
    ]  # fmt: skip


def same(n_rows: int = 500, n: int = 150) -> None:
    """Raises where a peer chooses other rows than ours, or rows of other scores."""
    Z, some = cases(n_rows, n)
    for case in some:
        if case.rows == "drawn":
            continue
        ours = skmm.select(Z, n, method=case.method, sketch_dim=M, **case.options).indices
        if case.rows == "by score":
            scores = case.theirs()
            equal = np.allclose(np.sort(scores[ours]), np.sort(scores)[-n:], rtol=1e-5)
        else:
            firsts = ours if case.rows == "from a first row" else ours[:1]
            equal = any(np.array_equal(case.theirs(n, int(i)), ours) for i in firsts)
        if not equal:
            raise AssertionError(f"{case.method}: the two versions choose differently")


def measure(Z: np.ndarray, case: Case, n: int) -> dict[str, Any]:
    made, y = Pool.of(Z, n_threads=THREADS), case.options.get("y")
    own = {name: x for name, x in case.options.items() if name != "y"}

    def ours() -> Any:
        with_spectrum = case.method.endswith("leverage")
        pool = Pool.of(Z, n_threads=THREADS) if with_spectrum else made
        problem = problem_of(pool, n, y=y, n_threads=THREADS)
        return REGISTRY[case.method].run(problem, **own).rows

    def theirs() -> Any:
        if case.picks:
            return case.theirs(case.picks)
        return np.argsort(case.theirs())[::-1][:n] if case.rows == "by score" else case.theirs()

    calls = {
        "select": partial(
            skmm.select, Z, n, method=case.method, sketch_dim=M, n_threads=THREADS, **case.options
        ),
        "method": ours,
        "theirs": theirs,
    }
    if case.read is not None:
        words = case.read.view(np.int64) if case.read.dtype == bool else case.read
        calls["read"] = torch.from_numpy(words).sum
    took = in_turns(calls, repeats=3, warm_up=0.0, at_least=1.0)
    beside = took["theirs"] * (n / case.picks if case.picks else 1)
    row = {
        "method": case.method,
        "select, s": took["select"],
        "method alone, s": took["method"],
        "beside": case.beside,
        "its s": beside,
        "picks timed": case.picks or "all",
        "its s / method": beside / took["method"],
        "its s / select": beside / took["select"],
    }
    if case.read is not None:
        a_pass = took["method"] / (n if case.picks else 1)
        row |= {
            "ns per entry per pick": 1e9 * a_pass / case.read.size,
            "x read": a_pass / took["read"],
        }
    return row


def main() -> None:
    torch.set_num_threads(THREADS)
    same()
    Z, some = cases(N, COUNT)
    save("baselines", [measure(Z, case, COUNT) for case in some])


if __name__ == "__main__":
    main()
