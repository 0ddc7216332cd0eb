"""The name that was meant where one is unknown."""

from __future__ import annotations

import difflib
from collections.abc import Collection

ELSEWHERE = {  # what other libraries call an argument
    "random_state": "seed",
    "random_seed": "seed",
    "rng": "seed",
    "n_jobs": "n_threads",
    "num_threads": "n_threads",
    "num_workers": "n_threads",
    "labels": "y",
    "verbose": "progress",
    "progress_bar": "progress",
}


def did_you_mean(name: str, known: Collection[str]) -> str:
    """ "; did you mean ...?", or nothing where no known name is near."""
    meant = ELSEWHERE.get(name)
    if meant not in known:
        meant = next(iter(difflib.get_close_matches(name, known, 1)), None)
    return "" if meant is None else f"; did you mean {meant!r}?"
