"""Checks of single arguments at the public border.

Each function returns the argument in the form that the package uses, or raises TypeError or
ValueError. The message says the argument, what was expected and what was given.
"""

from __future__ import annotations

import operator
from contextlib import suppress
from typing import Any

import numpy as np

from .. import _core

FLOATS = (np.float32, np.float64)


def integer(name: str, value: object, least: int, most: int | None = None) -> int:
    """An int in [least, most]; bool is not an int here."""
    expected = f"an int >= {least}" if most is None else f"an int in [{least}, {most}]"
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name}: expected {expected}, got the bool {value}")
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{name}: expected {expected}, got {value!r}") from None
    if number < least or (most is not None and number > most):
        raise ValueError(f"{name}: expected {expected}, got {number}")
    return number


def real(name: str, value: object, above: float = -np.inf, below: float = np.inf) -> float:
    """A finite float in the open interval (above, below)."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(
        value, (int, float, np.floating, np.integer)
    ):
        raise TypeError(f"{name}: expected a number, got {value!r}")
    try:
        number = float(value)
    except OverflowError:
        number = np.inf
    if not above < number < below:
        raise ValueError(f"{name}: expected a number in ({above}, {below}), got {number}")
    return number


def seed(value: object) -> int:
    """A seed: an int of 64 bits, unsigned."""
    return integer("seed", value, 0, 2**64 - 1)


def threads(n_threads: object) -> int:
    """A number of threads; None stands for OpenMP's default."""
    return (
        _core.default_threads() if n_threads is None else integer("n_threads", n_threads, 1, 1024)
    )


def choice(name: str, value: object, among: tuple[str, ...]) -> str:
    """The value, which must be one of these strings."""
    if not isinstance(value, str) or value not in among:
        raise ValueError(f"{name}: expected one of {', '.join(map(repr, among))}, got {value!r}")
    return value


def boolean(name: str, value: object) -> bool:
    """A Python bool; NumPy's bools are accepted too."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name}: expected True or False, got {value!r}")
    return bool(value)


def float_type(name: str, dtype: Any) -> np.dtype[Any]:
    """A NumPy dtype, which must be float32 or float64."""
    with suppress(TypeError):
        given: np.dtype[Any] = np.dtype(object if dtype is None else dtype)
        if given in FLOATS:
            return given
    raise TypeError(f"{name}: expected float32 or float64, got {dtype!r}")


def count(n: object, n_samples: int) -> int:
    """n as a number of rows in [1, N]; a float in (0, 1) is a share of N, rounded, at least 1."""
    if isinstance(n, (float, np.floating)):
        if not 0 < n < 1:
            raise ValueError(f"n: expected an int, or a float in (0, 1) as a share of N, got {n}")
        return max(1, round(float(n) * n_samples))
    return integer("n", n, 1, n_samples)
