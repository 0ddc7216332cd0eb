"""bench/compare.py: its figures by hand, a method of one's own, which seeds are used."""

from dataclasses import replace

import numpy as np
import pytest

import skmm_fast as skmm
from compare import METHODS, Method, Task, compare, own
from quality import (
    ABOVE,
    BELOW,
    WITHIN,
    beyond,
    cases,
    gain_table,
    of_v_optimal,
    safe,
    statements,
    tables,
)

N, COUNTS, SEEDS = 60, (10, 20), (3, 4, 5)
X = np.random.default_rng(0).standard_normal((N, 8)).astype(np.float32)


def first(Z, n, seed):
    return np.arange(n)


def make(seed, scored=None):
    """Scores are seed + (mean of the rows' numbers): all figures can be had by hand."""

    def score(rows, given, weights=None):
        assert given == seed
        assert len(set(rows.tolist())) == len(rows)
        if scored is not None:
            scored.append((seed, rows.copy()))
        return {"gain": seed + rows.mean(), "loss": -seed - rows.mean()}

    pool = {"labels": X + np.float32(seed), "features": X}
    return Task("toy", {"gain": "high", "loss": "low"}, pool, score, {"y": np.arange(N) % 3})


def test_figures_are_those_by_hand():
    rows = compare(make, {"first": Method(first, sees=("labels",))}, COUNTS, SEEDS)
    assert [(row["n"], row["N"], row["r"]) for row in rows] == [(10, N, 8), (20, N, 8)]
    for row in rows:
        values = [seed + (row["n"] - 1) / 2 for seed in SEEDS]
        gain, loss = row["metrics"]["gain"], row["metrics"]["loss"]
        assert gain["values"] == values
        assert loss["values"] == [-v for v in values]
        assert (gain["better"], loss["better"]) == ("high", "low")
        assert gain["mean"] == pytest.approx(sum(values) / 3)
        assert gain["std"] == pytest.approx(1.0)  # of 3, 4, 5
        assert gain["se"] == pytest.approx(3**-0.5, rel=1e-5)
        for i, seed in enumerate(SEEDS):
            Z = X + np.float32(seed)
            if row["n"] < 16:  # sketched to n // 2
                Z = skmm.SparseSign(8, row["n"] // 2, seed=seed).apply(Z)
            d = skmm.diagnose(Z, np.arange(row["n"]), seed=seed)
            found = {name: several[i] for name, several in row["v_optimality"].items()}
            uniform = d.random_v_optimality.mean()
            assert found == pytest.approx(
                {"values": d.v_optimality, "bound": d.lower_bound, "uniform": uniform}, rel=1e-5
            )
        assert row["seconds"] > 0


def test_own_method_joins(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(
        "def largest(Z, n, seed):\n    return (Z**2).sum(1).argsort()[-n:]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    name, method = own("mine:largest")
    rows = compare(make, {"uniform": METHODS["uniform"], name: method}, COUNTS, SEEDS)
    assert [(r["method"], r["representation"]) for r in rows if r["n"] == 10] == [
        ("uniform", None),
        ("largest", "labels"),
        ("largest", "features"),
    ]


def test_every_method_gives_exactly_n():
    rng = np.random.default_rng(1)
    logits, scored = rng.standard_normal((N, 3)), []
    probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    inputs = {"y": np.arange(N) % 3, "probs": probs, "logits": logits}
    inputs |= {"head": rng.standard_normal((3, 4)), "record": rng.random((5, N)) < 0.5}
    methods = METHODS | {"glister, held out": Method("glister", needs=("validation",))}

    def with_inputs(seed):
        validation = {"labels": X[:9], "features": X[:7]}
        return replace(make(seed, scored), inputs=inputs | {"validation": validation})

    rows = compare(with_inputs, methods, COUNTS, (0,), whole=True)
    assert {row["method"] for row in rows} == {*methods, "whole pool"}
    assert {len(S) for _, S in scored} == {*COUNTS, N}
    assert all(row["metrics"]["gain"]["se"] is None for row in rows)


def test_seeds_give_other_draws_and_the_same_again():
    first, again = [], []
    for scored in (first, again):
        uniform = {"uniform": METHODS["uniform"], "v-optimal": METHODS["v-optimal"]}
        compare(lambda seed, scored=scored: make(seed, scored), uniform, (10,), SEEDS)
    assert [s for s, _ in first] == [s for s, _ in again]
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(first, again, strict=True))
    draws = METHODS["uniform"].draws
    assert len(first) == len(SEEDS) * (draws + 2)
    uniform = [tuple(S) for i, (_, S) in enumerate(first) if i % (draws + 2) < draws]
    assert len(set(uniform)) == len(SEEDS) * draws


def test_what_a_task_lacks_is_left_out():
    methods = {
        "entropy": METHODS["entropy"],  # no probs
        "v-optimal": Method("v-optimal", sees=("random",)),  # no such pool
        "by n": Method("v-optimal", lambda n: {"sketch_dim": n // 5}, sees=("features",)),
    }
    rows = compare(make, methods, COUNTS, (0,))
    assert [row["method"] for row in rows] == ["by n", "by n"]


def test_gains_are_paired_and_their_report_is_that_of_the_figures():
    better = Method(lambda Z, n, seed: np.arange(len(Z) - n, len(Z)), sees=("labels",))
    methods = {"uniform": METHODS["uniform"], "v-optimal": better}
    rows = compare(make, methods, COUNTS, SEEDS)
    found = cases(rows)
    assert [(c.metric, c.n, c.verdict) for c in found] == [
        ("gain", 10, ABOVE),
        ("loss", 10, ABOVE),  # "low" is better, and it is lower
        ("gain", 20, ABOVE),
        ("loss", 20, ABOVE),
    ]
    uniform = next(row for row in rows if row["method"] == "uniform")
    values = uniform["metrics"]["gain"]["values"]
    np.testing.assert_allclose(
        found[0].gains, [s + 54.5 - v for s, v in zip(SEEDS, values, strict=True)]
    )
    text = "\n".join(statements(rows))
    assert "better than uniform in 4 of 4 cases (toy: gain at n = 10, 20; toy: loss" in text
    assert "worse in 0." in text
    assert of_v_optimal(rows) == []  # classes are not said: a squared loss, and no "random" pool
    classes = [row | {"classes": 2} for row in rows]
    assert [c.verdict for c in of_v_optimal(classes)] == [ABOVE] * 4
    assert "draws in 4 of 4 cases, within one standard error in 0, worse" in statements(classes)[1]
    assert "| v-optimal, labels | **+" in (table := gain_table(rows))
    assert table.count(ABOVE) == 2  # columns: all n of a metric
    assert "v-optimal, labels (better in 2)" in safe(rows)[0]
    best = next(line for line in tables(rows)[1].splitlines() if line.startswith("| v-opt"))
    assert best.startswith(f"| v-optimal, labels | **58.500 ± 0.577**{ABOVE} | **53.500 ± 0.577**")


def test_verdicts():
    for gains, verdict in (
        ([0.2, 0.1, 0.2], ABOVE),
        ([0.4, -0.5, 0.1], WITHIN),
        ([-0.1, -0.2, -0.1], BELOW),
        ([1.0], WITHIN),
    ):
        assert beyond(np.array(gains)) == verdict


def test_weights_go_to_methods_that_say_so(monkeypatch):
    seen = []

    def with_scores(seed):
        def score(rows, seed, weights=None):
            seen.append(weights)
            return {"gain": 0.0}

        return Task("toy", {"gain": "high"}, {"labels": X}, score)

    select = skmm.select
    monkeypatch.setattr(
        skmm, "select", lambda *args, **kwargs: Weighted(select(*args, **kwargs), np.full(10, 2.0))
    )
    methods = {
        "plain": Method(first, sees=("labels",)),
        "weighted": Method(first, sees=("labels",), weighted=True),
    }
    compare(with_scores, methods, (10,), (0,))
    assert seen[0] is None
    np.testing.assert_array_equal(seen[1], np.full(10, 2.0))


class Weighted:
    def __init__(self, selection, weights):
        self.indices, self.diagnosis, self.weights = selection.indices, selection.diagnosis, weights


def test_shares_of_marked_rows():
    marks = {"even": np.arange(N) % 2 == 0}
    rows = compare(
        lambda seed: replace(make(seed), marks=marks),
        {"first": Method(first, sees=("labels",))},
        (15,),
        (3, 4),
        whole=True,
    )
    assert [row["marks"] for row in rows] == [
        {"even": {"values": [0.533333] * 2, "pool": 0.5}},
        {"even": {"values": [0.5] * 2, "pool": 0.5}},
    ]
