"""The manifest of a sketch store: what its rows are, how they are cut into files, and in what that
of a run differs from it."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from .._support import checks
from .._support.files import open_regular
from .._support.json_text import parsed, require_names
from .._support.npy import MOST_BYTES
from .shard_file import CHECKSUM

FORMAT = 1
MANIFEST = "manifest.json"
ADVISORY = "advisory"  # a field of a fingerprint whose name begins with this may differ
MOST_SHARDS = 1_000_000
LONGEST = 1 << 28  # bytes of a manifest
# Fields without which no rows are the same: that such a difference may be accepted is not said.
DECISIVE = {"weights", "sketch", "in_dim", "out_dim", "nnz_per_row", "seed", "targets"}
SHOWN = 40  # characters of a value that an error shows


@dataclass(frozen=True)
class Manifest:
    """What the rows of a store are, and how they are cut into files."""

    n_samples: int  # N
    sketch_dim: int  # m
    dtype: str  # "float32", "float64", or "float16" for `Float16Rows`
    batch_size: int  # rows of a shard that are sketched together, at most
    shard_rows: int  # rows of each shard but the last
    fingerprint: dict[str, Any]  # fields of sketcher and dataset, as JSON gives them back
    checksum: str | None = CHECKSUM  # that of each shard; None in stores of the first versions

    def __post_init__(self) -> None:
        for name in ("n_samples", "sketch_dim", "batch_size", "shard_rows"):
            checks.integer(name, getattr(self, name), 1, MOST_BYTES)
        checks.choice("dtype", self.dtype, ("float16", "float32", "float64"))
        if self.n_samples * self.sketch_dim * np.dtype(self.dtype).itemsize > MOST_BYTES:
            raise ValueError(
                f"n_samples: expected rows of {MOST_BYTES} bytes in all, got {self.n_samples} rows "
                f"of {self.sketch_dim} numbers"
            )
        if self.n_samples > MOST_SHARDS * self.shard_rows:
            raise ValueError(
                f"shard_rows: expected at most {MOST_SHARDS} shards, got {self.n_samples} rows in "
                f"shards of {self.shard_rows}; take more"
            )
        if not isinstance(self.fingerprint, dict):
            raise TypeError(f"fingerprint: expected named fields, got {self.fingerprint!r}")
        if self.checksum not in (None, CHECKSUM):
            raise ValueError(f"checksum: expected {CHECKSUM!r} or none, got {self.checksum!r}")

    @property
    def content(self) -> bytes:
        """What the file of the manifest holds."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1).encode()


def read_manifest(path: Path) -> Manifest:
    """The manifest in a file. Raises ValueError if the file holds something else."""
    with open_regular(path) as file:
        content = file.read(LONGEST + 1)
    try:
        if len(content) > LONGEST:
            raise ValueError(f"more than {LONGEST} bytes")
        values = parsed(content)
        if not isinstance(values, dict):
            raise ValueError(f"a JSON {type(values).__name__}")
        version = values.pop("format", None)
        if type(version) is not int or version != FORMAT:
            raise ValueError(f"format {version!r}")
        values.setdefault("checksum", None)
        require_names(values, {field.name for field in fields(Manifest)})
        return Manifest(**values)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{path}: expected the manifest of a sketch store of format {FORMAT}, got another file "
            f"({error!s:.300}); bring back the one that was written, or sketch into an empty folder"
        ) from None


def require_same(
    path: Path, stored: Manifest, now: Manifest, accepted: Collection[str] = ()
) -> None:
    """Raises ValueError if a field of `now`, or of its fingerprint, is not the stored one.

    The message names each such field. Fields of the fingerprint that are accepted may differ.
    """
    differing = _differing(vars(stored), vars(now))
    differing.pop("checksum", None)  # the shards that are still to come are like those there
    of_fingerprint: dict[str, tuple[Any, Any]] = {}
    for name, values in _differing(*differing.pop("fingerprint", ({}, {}))).items():
        of_fingerprint |= _differing_parts(name, *values)
    fields = {**stored.fingerprint, **now.fingerprint}
    for name in accepted:
        if not any(_is_among(name, [field]) for field in fields):
            raise ValueError(f"accept: expected fields of the fingerprint, got {name!r}")
    of_fingerprint = {k: v for k, v in of_fingerprint.items() if not _is_among(k, accepted)}
    said = [f"{k} ({_shown(*values)})" for k, values in {**differing, **of_fingerprint}.items()]
    if not said:
        return
    remedy = ""
    if not differing and not DECISIVE & of_fingerprint.keys():
        names = list(of_fingerprint)
        flags = " ".join(f"--accept {name}" for name in names)
        remedy = f" (where its rows are the same nevertheless, accept={names}, or {flags})"
    raise ValueError(
        f"path: expected a store of this sketcher and this dataset{remedy}, got {path}, "
        f"which differs in {', '.join(said)}"
    )


def _differing(stored: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The fields that differ, each with (stored value, value now); a missing value is None.

    Advisory fields are left out.
    """
    return {
        name: (stored.get(name), now.get(name))
        for name in {**stored, **now}
        if stored.get(name) != now.get(name) and not name.startswith(ADVISORY)
    }


def _differing_parts(field: str, stored: Any, now: Any) -> dict[str, tuple[Any, Any]]:
    """Of a field with named parts, the parts that both have and that differ."""
    if not isinstance(stored, dict) or not isinstance(now, dict):
        return {field: (stored, now)}
    both = {name: stored[name] for name in stored if name in now}
    parts = _differing(both, {name: now[name] for name in both})
    return {f"{field}.{name}": values for name, values in parts.items()}


def _is_among(field: str, accepted: Collection[str]) -> bool:
    """Whether a field, or a part of one, is accepted by its name."""
    return any(field == name or field.startswith(f"{name}.") for name in accepted)


def _shown(stored: Any, now: Any) -> str:
    """The two values as text. Long ones are cut to begin shortly before the first difference."""
    texts = repr(stored), repr(now)
    start = 0
    if max(map(len, texts)) > SHOWN:
        differences = (i for i, (a, b) in enumerate(zip(*texts, strict=False)) if a != b)
        start = max(next(differences, min(map(len, texts))) - SHOWN // 3, 0)
    cut = [
        "…" * (start > 0) + text[start : start + SHOWN] + "…" * (len(text) > start + SHOWN)
        for text in texts
    ]
    return f"stored {cut[0]}, now {cut[1]}"
