"""Types and order of arguments: what a type checker refuses, and what comes last."""

import inspect
import subprocess
import sys
import typing

import pytest
from support.public import NAMES

import skmm_fast as skmm
from skmm_fast.methods.registry import REGISTRY

DATA = {
    "select": ("X", "n"),
    "plan": ("n_samples", "sketch_dim", "n"),
    "diagnose": ("Z", "indices"),
    "moments": ("Z",),
    "match_moments": ("Z", "n"),
    "v_optimal": ("Z", "n"),
    "cells": ("Z", "n"),
    "match_mean": ("Z", "start"),
    "draw": ("s", "n"),
    "SparseSign": ("in_dim", "out_dim"),
    "GroupedSign": ("in_dim", "out_dim"),
    "Gaussian": ("in_dim", "out_dim"),
    "Sketch.apply": ("self", "G"),
    "Sketch.apply_outer": ("self", "E", "X"),
    "GradientSketcher": ("model",),
    "sketch_dataset": ("sketcher", "dataset", "path"),
    "pilot": ("model", "dataset", "train"),
}
LAST = ["seed", "n_threads", "progress"]


@pytest.mark.parametrize("name", DATA)
def test_options_are_keywords_and_these_come_last(name):
    if name in ("GradientSketcher", "sketch_dataset", "pilot"):
        pytest.importorskip("torch")
    first, _, method = name.partition(".")
    function = getattr(NAMES[first], method) if method else NAMES[first]
    parameters = inspect.signature(function).parameters
    options = [p for part, p in parameters.items() if part not in DATA[name]]
    assert list(parameters)[: len(DATA[name])] == list(DATA[name])
    assert all(p.kind in (p.KEYWORD_ONLY, p.VAR_KEYWORD) for p in options)
    names = [p.name for p in options if p.kind == p.KEYWORD_ONLY]
    last = [name for name in LAST if name in names]
    assert names[len(names) - len(last) :] == last


def test_no_public_function_returns_any():
    for name, item in NAMES.items():
        members = vars(item).items() if inspect.isclass(item) else [(name, item)]
        for part, member in members:
            method = getattr(member, "__func__", getattr(member, "fget", None) or member)
            if inspect.isfunction(method) and (part == name or not part.startswith("_")):
                said = inspect.signature(method).return_annotation
                assert said not in ("Any", typing.Any, inspect.Signature.empty), part


def test_the_registry_names_every_method():
    assert tuple(REGISTRY) == skmm.METHODS
    assert all(method.source and method.chooses_by for method in REGISTRY.values())


CODE = """
import numpy as np
import scipy.sparse as sp
import torch
import skmm_fast as skmm
from skmm_fast.gradients import GradientSketcher, pilot

Z, T = np.ones((9, 3)), torch.ones((9, 3))
model = torch.nn.Linear(3, 2)
samples = torch.utils.data.TensorDataset(T, torch.arange(9) % 2)
S = skmm.SparseSign(3, 2)
"""
GOOD = """
from numpy.typing import NDArray
from typing import Any

def mine(Z: Any, n: int, seed: int) -> list[int]:
    return list(range(n))

a: NDArray[Any] = S.apply(Z)
b: torch.Tensor = S.apply(T)
c: NDArray[Any] = S.apply(sp.csr_array(Z), n_threads=1)
d: torch.Tensor = S.apply({"weight": T, "bias": T})
e: NDArray[Any] = S.apply([Z, Z], accumulate=True)
for X in (Z, T):
    skmm.select(X, 2, y=[0, 1, 2] * 3, per_class={0: 1, 1: 1}, include=[1])
skmm.select(sp.csr_array(Z), 0.2, method="uniform")
skmm.select(Z, 2, method=mine)
skmm.select(Z, 2, method="glister", target=T)
skmm.select(Z, 2, method="glister", target=[Z, Z])
skmm.select(Z, 2, method="glister", target=(T, skmm.SketchStore("target")))
skmm.select(skmm.SketchStore("sketches"), 2)
selection = skmm.select(Z, 2)
rows: NDArray[np.float64] = selection.subset(Z)
names: list[str] = selection.subset(["a"] * 9)
subset: torch.utils.data.Subset[Any] = selection.subset(torch.utils.data.TensorDataset(T))
skmm.v_optimal(T, 2, sampler="exp").indices.sum()
GradientSketcher(model, loss="mse", targets="random")

def train(model: torch.nn.Linear, subset: torch.utils.data.Subset[Any]) -> None:
    model(subset[0][0])

skmm.select(Z, 2, pilot=pilot(model, samples, train, params="last", sketch_dim=2))
"""
BAD = [
    ('skmm.select(Z, 2, method="voptimal")', "arg-type"),
    ('skmm.select("hello", 2)', "arg-type"),
    ("skmm.select([[1.0]], 2)", "arg-type"),
    ('skmm.select(Z, 2, sketch="sparse")', "arg-type"),
    ('skmm.select(Z, 2, per_class="equal")', "arg-type"),
    ('skmm.select(Z, 2, method="glister", target="rows")', "arg-type"),
    ('skmm.select(Z, 2, "uniform")', "call-arg"),
    ('skmm.plan(10, 2, 2, method="voptimal")', "arg-type"),
    ('skmm.draw(np.ones(2), 1, method="best")', "arg-type"),
    ('skmm.v_optimal(Z, 2, route="fast")', "arg-type"),
    ('skmm.match_moments("hello", 2)', "arg-type"),
    ('skmm.match_moments(Z, 2, weighting="none")', "arg-type"),
    ('S.apply("hello")', "call-overload"),
    ("S.apply([[1.0]])", "type-var"),
    ("skmm.SparseSign(9, 3, 2)", "call-arg"),
    ('GradientSketcher(model, loss="ce")', "arg-type"),
    ('GradientSketcher(model, targets="labels")', "arg-type"),
    ('GradientSketcher(model, method="hook")', "arg-type"),
    ('skmm.select(Z, 2, pilot="ridge")', "arg-type"),
    ("pilot(model, samples, model.state_dict())", "arg-type"),
]


def test_what_a_type_checker_refuses(tmp_path):
    """mypy --strict takes the good calls, and refuses each of the bad ones."""
    pytest.importorskip("mypy")
    pytest.importorskip("torch")
    path = tmp_path / "calls.py"
    path.write_text(CODE + GOOD + "".join(f"{call}\n" for call, _ in BAD))
    first = len((CODE + GOOD).splitlines())
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary"]
    cache = ["--cache-dir", str(tmp_path / "cache")]
    done = subprocess.run(
        [*command, *cache, str(path)], capture_output=True, text=True, timeout=600, cwd=tmp_path
    )
    found = {}
    for line in done.stdout.splitlines():
        _, number, kind, message = line.split(":", 3)
        if kind.strip() == "error":
            found[int(number) - first - 1] = message
    assert found.keys() == set(range(len(BAD))), done.stdout
    for i, (_, code) in enumerate(BAD):
        assert f"[{code}]" in found[i]
