"""The files of a selection: what is written, and what is taken for one when it is read.

A .npz holds the arrays and, under "meta", JSON. A .json holds all but the row numbers, which lie in
a .npy beside it.
"""

from __future__ import annotations

import hashlib
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

FORMAT = 2
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
    """Write a .npz; or a .json, and the .npy beside it."""
    meta = plain(
        {"format": FORMAT, "settings": saved.settings, "diagnosis": saved.diagnosis.plain()}
    )
    arrays: dict[str, Any] = dict(saved.arrays)
    if path.suffix != ".json":
        text = np.array(json.dumps(meta))
        write_whole(path, lambda f: np.savez(f, meta=text, **arrays))
        return
    indices = arrays["indices"]
    beside = path.with_suffix(".indices.npy")
    write_whole(beside, lambda f: np.save(f, indices))
    meta["indices"] = {"file": beside.name, "sha256": _digest(indices)}
    meta["weights"] = arrays["weights"].tolist()
    meta["picture"] = {name: arrays[name].tolist() for name in PICTURE}
    write_whole(path, lambda f: f.write(json.dumps(meta, indent=1).encode()))


def read(path: Path) -> Saved:
    """Read what `write` wrote. Raises ValueError that names the file for anything else, and OSError
    where a file cannot be opened."""
    content = _content(path)
    try:
        meta, arrays = _of_json(path, content) if path.suffix == ".json" else _of_npz(content)
        settings, diagnosis = _named(meta)
        _require(arrays, settings, diagnosis)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"path: expected a selection of format {FORMAT}, got {path} ({error!s:.300}); bring "
            "back the file that was saved, or select again"
        ) from None
    return Saved(settings, diagnosis, arrays)


def _content(path: Path) -> bytes:
    with open_regular(path) as file:
        return file.read()


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


def _of_json(path: Path, content: bytes) -> tuple[Any, dict[str, Array]]:
    meta = parsed(content)
    require_names(meta, (*META, "indices", "weights", "picture"))
    require_names(meta["indices"], ("file", "sha256"))
    require_names(meta["picture"], PICTURE)
    name = meta["indices"]["file"]
    if not isinstance(name, str) or Path(name).name != name or "\0" in name:
        raise ValueError(f"indices in {name!r}, which is no file beside it")
    indices = _array("indices", _content(path.with_name(name)))
    if _digest(indices) != meta["indices"]["sha256"]:
        raise ValueError(f"{name} is of another selection")
    lists = {"weights": meta["weights"], **meta["picture"]}
    return meta, {"indices": indices, **{k: _numbers(k, x) for k, x in lists.items()}}


def _array(name: str, content: bytes) -> Array:
    try:
        return npy.read(content)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _numbers(name: str, values: Any) -> Array:
    """Lists of numbers as an array of float64."""
    try:
        array = np.array(values)
    except ValueError:
        raise ValueError(f"{name}: lists of unequal lengths") from None
    if array.dtype.kind not in "iuf":
        raise ValueError(f"{name}: no numbers")
    return array.astype(np.float64)


def _named(meta: dict[str, Any]) -> tuple[dict[str, Any], Diagnosis]:
    """Settings and diagnosis of the JSON."""
    if type(meta["format"]) is not int or meta["format"] != FORMAT:
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


def _digest(indices: Array) -> str:
    return hashlib.sha256(indices.tobytes()).hexdigest()
