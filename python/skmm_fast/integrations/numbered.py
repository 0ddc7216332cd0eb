"""A Γ for each number: what TRAK and dattri expect of a projector, one for each checkpoint."""

from __future__ import annotations

from typing import get_args

from .._support import checks
from ..sketch.base import Sketch
from ..sketch.operators import Kind, make

NUMBERS = 1 << 32  # seeds, and numbers of checkpoints, are below this


def numbered_seed(seed: int, number: int, name: str) -> int:
    """seed + 2³² · number: another seed of Γ, and so an independent Γ, for each pair of integers in
    [0, 2³²). Errors call the number `name`."""
    return checks.integer("seed", seed, 0, NUMBERS - 1) + NUMBERS * checks.integer(
        name, number, 0, NUMBERS - 1
    )


def numbered_sketch(
    kind: str, in_dim: int, out_dim: int, seed: int, number: int, name: str
) -> Sketch:
    """The Γ of this number, of the family `kind` that an argument proj_type names."""
    family = checks.choice("proj_type", kind, get_args(Kind))
    return make(family, in_dim, out_dim, seed=numbered_seed(seed, number, name))
