"""Imports of optional packages, which the base installation does not bring."""

from __future__ import annotations

import importlib
from importlib.metadata import PackageNotFoundError, requires
from typing import Any


def need(module: str, extra: str) -> Any:
    """The module, or an ImportError that says what to install: the packages of this extra."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        wanted = " ".join(f"'{x}'" for x in _of_extra(extra)) or package
        raise ImportError(
            f"{package} is needed here: pip install {wanted} (the extra '{extra}' of skmm-fast)"
        ) from error


def _of_extra(extra: str) -> list[str]:
    """Requirements that an extra adds, but for other extras; none where nothing is installed."""
    try:
        known = [line.partition(";") for line in requires("skmm-fast") or ()]
    except PackageNotFoundError:
        return []
    mark = f"extra=={extra}"
    return [
        name.strip()
        for name, _, condition in known
        if condition.translate(str.maketrans("", "", " '\"")) == mark
        and not name.startswith("skmm-fast[")
    ]
