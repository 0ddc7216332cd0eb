"""The fuzzers of tests/fuzz find nothing in some random inputs, most of which are valid."""

import importlib
import random
import sys
from pathlib import Path

import pytest

FUZZERS = Path(__file__).parents[2] / "fuzz"


@pytest.mark.parametrize("name", ["manifest", "shard", "selection", "arrays"])
@pytest.mark.filterwarnings("ignore")  # what NumPy says of a damaged header
def test_some_inputs(name, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(FUZZERS), *sys.path])
    target = importlib.import_module(f"fuzz_{name}").target
    choices = importlib.import_module("choices").Choices
    rng = random.Random(0)
    inputs = [rng.randbytes(rng.randrange(400)) for _ in range(80)]
    valid = sum(target(choices(data), tmp_path) for data in inputs)
    assert 0.6 * len(inputs) <= valid < len(inputs)
