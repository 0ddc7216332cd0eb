"""The files of a selection: what is written, and what is taken for one when it is read.

A .npz holds the arrays and, under "meta", JSON. A .json holds all but the picture, which is large.
A .npy of the row numbers and a .csv of numbers and weights are for other programs, and not read.
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ._diagnose import Diagnosis
from ._support import checks, npy
from ._support.files import open_regular, write_whole
from ._support.json_text import parsed, plain, require_names
from ._support.types import Array

FORMATS = {".npz": 2, ".json": 3}
WRITTEN = (*FORMATS, ".npy", ".csv")
PICTURE = ("pool", "selected", "eigenvalues")
ARRAYS = ("indices", "weights", *PICTURE)
META = ("format", "settings", "diagnosis")


@dataclass(frozen=True)
class Saved:
    """What the files of a selection hold."""

    settings: dict[str, Any]
    diagnosis: Diagnosis
    arrays: dict[str, Array]  # those of ARRAYS


def write(path: Path, saved: Saved) -> None:
    """Write a file of the kind that its name ends in. Raises ValueError for other endings."""
    arrays: dict[str, Any] = dict(saved.arrays)
    if path.suffix == ".npz":
        text = np.array(json.dumps(_meta(saved, FORMATS[".npz"])))
        write_whole(path, lambda f: np.savez(f, meta=text, **arrays))
    elif path.suffix == ".json":
        write_whole(path, lambda f: f.write(as_json(saved).encode()))
    elif path.suffix == ".npy":
        write_whole(path, lambda f: np.save(f, arrays["indices"]))
    elif path.suffix == ".csv":
        rows = zip(arrays["indices"].tolist(), arrays["weights"].tolist(), strict=True)
        lines = ["index,weight", *(f"{index},{weight}" for index, weight in rows)]
        write_whole(path, lambda f: f.write(("\n".join(lines) + "\n").encode()))
    else:
        raise ValueError(f"path: expected a name that ends in {', '.join(WRITTEN)}, got {path}")


def as_json(saved: Saved) -> str:
    """What a .json holds, with the row numbers in one line."""
    text = json.dumps(_meta(saved, FORMATS[".json"]), indent=1).removesuffix("\n}")
    lists = [(name, saved.arrays[name].tolist()) for name in ("indices", "weights")]
    return "".join([text, *(f',\n "{name}": {json.dumps(x)}' for name, x in lists), "\n}\n"])


def _meta(saved: Saved, version: int) -> Any:
    return plain(
        {"format": version, "settings": saved.settings, "diagnosis": saved.diagnosis.plain()}
    )


def read(path: Path) -> Saved:
    """Read what `write` wrote to a .npz or .json. Raises ValueError that names the file for
    anything else, and OSError where it cannot be opened."""
    if path.suffix not in FORMATS:
        raise ValueError(f"path: expected a name that ends in {' or '.join(FORMATS)}, got {path}")
    version = FORMATS[path.suffix]
    with open_regular(path) as file:
        content = file.read()
    try:
        meta, arrays = _of_json(content) if path.suffix == ".json" else _of_npz(content)
        settings, diagnosis = _named(meta, version)
        _require(arrays, settings, diagnosis)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"path: expected a selection of format {version}, got {path} ({error!s:.300}); bring "
            "back the file that this version saved, or select again"
        ) from None
    return Saved(settings, diagnosis, arrays)


def _of_npz(content: bytes) -> tuple[Any, dict[str, Array]]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            names = sorted(member.filename for member in members)
            if names != sorted(f"{name}.npy" for name in ("meta", *ARRAYS)):
                raise ValueError(f"arrays {', '.join(names)}")
            for member in members:
                if member.compress_type != zipfile.ZIP_STORED or member.file_size > len(content):
                    raise ValueError(f"{member.filename} compressed")
            files = {member.filename: archive.read(member) for member in members}
    except ValueError:
        raise
    except Exception as error:  # damaged archives make zipfile fail in many ways
        raise ValueError(f"no whole .npz: {type(error).__name__}: {error}") from None
    arrays = {name: _array(name, files[f"{name}.npy"]) for name in ("meta", *ARRAYS)}
    text = arrays.pop("meta")
    if text.dtype.kind != "U" or text.ndim:
        raise ValueError(f"meta of {text.dtype} and shape {text.shape}")
    meta = parsed(str(text))
    require_names(meta, META)
    return meta, arrays


def _of_json(content: bytes) -> tuple[Any, dict[str, Array]]:
    meta = parsed(content)
    require_names(meta, (*META, "indices", "weights"))
    indices = _numbers("indices", meta["indices"])
    if indices.dtype.kind == "i":  # NumPy's default type may have 32 bits
        indices = indices.astype(np.int64)
    points = np.empty((0, 2))
    picture = {"pool": points, "selected": points, "eigenvalues": np.empty(0)}
    weights = _numbers("weights", meta["weights"]).astype(np.float64)
    return meta, {"indices": indices, "weights": weights, **picture}


def _array(name: str, content: bytes) -> Array:
    try:
        return npy.read(content)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _numbers(name: str, values: Any) -> Array:
    """A list of numbers as an array."""
    try:
        array = np.array(values)
    except ValueError:
        raise ValueError(f"{name}: lists of unequal lengths") from None
    if array.dtype.kind not in "iuf":
        raise ValueError(f"{name}: no numbers")
    return array


def _named(meta: dict[str, Any], version: int) -> tuple[dict[str, Any], Diagnosis]:
    """Settings and diagnosis of the JSON."""
    if type(meta["format"]) is not int or meta["format"] != version:
        raise ValueError(f"format {meta['format']!r}")
    settings = meta["settings"]
    if not isinstance(settings, dict) or not isinstance(settings.get("method"), str):
        raise ValueError("settings without a method")
    checks.integer("n_samples", settings.get("n_samples"), 1)
    return settings, Diagnosis.from_plain(meta["diagnosis"])


def _require(arrays: dict[str, Array], settings: dict[str, Any], diagnosis: Diagnosis) -> None:
    """Raises ValueError for arrays that are not those of a selection."""
    indices, weights = arrays["indices"], arrays["weights"]
    N, n = settings["n_samples"], diagnosis.n
    if indices.dtype != np.int64 or indices.shape != (n,):
        raise ValueError(f"{n} rows as indices of {indices.dtype} and shape {indices.shape}")
    if indices[0] < 0 or indices[-1] >= N or (indices[1:] <= indices[:-1]).any():
        raise ValueError(f"indices that are not distinct, ascending and in [0, {N - 1}]")
    if diagnosis.n_samples > N:
        raise ValueError(f"a diagnosis of {diagnosis.n_samples} rows where there are {N}")
    shapes: dict[str, tuple[int, ...]] = {"weights": (n,)}
    if any(arrays[name].size for name in PICTURE):  # there is none where nothing was diagnosed
        shapes.update(_shapes_of_picture(arrays, n))
    for name, shape in shapes.items():
        x = arrays[name]
        if x.dtype.kind != "f" or x.shape != shape or not np.isfinite(x).all():
            raise ValueError(f"{name} of {x.dtype} and shape {x.shape}, or not finite")
    if weights.dtype != np.float64 or (weights < 0).any() or abs(weights.mean() - 1) > 1e-6:
        raise ValueError("weights that are negative, or not of mean 1")


def _shapes_of_picture(arrays: dict[str, Array], n: int) -> dict[str, tuple[int, ...]]:
    k = arrays["pool"].shape[-1] if arrays["pool"].ndim else 0
    if not 1 <= k <= 2:
        raise ValueError(f"a picture in {k} dimensions")
    m = len(arrays["eigenvalues"]) if arrays["eigenvalues"].ndim else 0
    return {"pool": (len(arrays["pool"]), k), "selected": (n, k), "eigenvalues": (m,)}
