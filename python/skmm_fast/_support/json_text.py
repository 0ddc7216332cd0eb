"""JSON text: values as it can hold them, and strict reading of what a file holds."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from typing import Any, NoReturn

import numpy as np

from . import checks

DEEPEST = 100  # lists and objects around a value


def plain(value: Any) -> Any:
    """The value as JSON gives it back; floats that JSON does not have as "inf", "-inf", "nan"."""
    if isinstance(value, np.ndarray):
        value = value.tolist() if value.size < 1000 else repr(value)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    return value if isinstance(value, (str, int, float, type(None))) else repr(value)


def parsed(content: bytes | str) -> Any:
    """The value of JSON text, as UTF-8 or as a string.

    Raises ValueError for text that is none, for NaN and infinity, which are no JSON, for a name
    that an object has twice, and for values inside more than DEEPEST lists and objects.
    """
    text = content if isinstance(content, str) else content.decode()
    try:
        value = json.loads(
            text,
            parse_float=_finite,
            parse_constant=_refuse_constant,
            object_pairs_hook=_distinct,
        )
    except RecursionError:
        raise _nested() from None
    inner = [value]
    for _ in range(DEEPEST + 1):
        inner = [x for outer in inner for x in _inside(outer)]
        if not inner:
            return value
    raise _nested()


def require_names(values: Any, names: Collection[str]) -> None:
    """Raises ValueError unless the value is an object with exactly these names."""
    if not isinstance(values, dict):
        raise ValueError(f"no object with {', '.join(names)}")
    for name in names:
        if name not in values:
            raise ValueError(f"no {name!r}")
    for name in values:
        if name not in names:
            raise ValueError(f"{name!r}, which is no field of it")


def figure(name: str, value: Any) -> float:
    """A float as `plain` gives it. Raises TypeError or ValueError for anything else."""
    if isinstance(value, str) and value in ("inf", "-inf", "nan"):
        return float(value)
    return checks.real(name, value)


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _nested() -> ValueError:
    return ValueError(f"nested more than {DEEPEST} times")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"a number beyond the largest float, {digits:.20}")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name}, which JSON does not have")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r} twice")
    return values
