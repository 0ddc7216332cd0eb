"""What a selection is: its rows, how good they are, how found; on disk and as a picture."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from ._diagnose import Diagnosis
from ._plot import plot_selection
from ._support.checks import Array, Indices
from ._support.files import write_whole
from ._support.optional import need
from .pool.pool import Pool

FORMAT = 1
PICTURE_ROWS = 5000  # of the pool kept for the picture


@dataclass(frozen=True, eq=False)
class Selection:
    """n rows, how good they are, and how they were found."""

    indices: Indices  # (n,), ascending, distinct
    diagnosis: Diagnosis
    settings: dict[str, Any]
    picture: dict[str, Array]

    def subset(self, dataset: Any) -> Any:
        """The chosen samples: an array or sparse matrix by rows, a Hugging Face dataset by its
        `select`, a list or tuple as a list, any other map-style dataset as a torch `Subset`.

        Raises ValueError where len(dataset) is not the N that was selected from.
        """
        shaped = hasattr(dataset, "shape")
        length = dataset.shape[0] if shaped else len(dataset)
        if length != self.settings["n_samples"]:
            raise ValueError(
                f"dataset: expected {self.settings['n_samples']} samples, got {length}"
            )
        if hasattr(dataset, "column_names") and hasattr(dataset, "select"):  # Hugging Face
            return dataset.select(self.indices)
        if hasattr(dataset, "iloc"):
            return dataset.iloc[self.indices]
        if shaped:
            return dataset[self.indices]
        if isinstance(dataset, (list, tuple)):
            return [dataset[i] for i in self.indices]
        return need("torch.utils.data", "torch").Subset(dataset, self.indices.tolist())

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write one `.npz`, or, where path ends in .json, that JSON and an `.indices.npy` beside
        it. Returns the path written (".npz" is added where there is no such suffix).

        Each file is written under a temporary name, synced and renamed: it exists whole or not.
        """
        path = _with_suffix(path)
        meta = plain(
            {"format": FORMAT, "settings": self.settings, "diagnosis": asdict(self.diagnosis)}
        )
        if path.suffix == ".json":
            beside = path.with_suffix(".indices.npy")
            write_whole(beside, lambda f: np.save(f, self.indices))
            meta["indices"] = {"file": beside.name, "sha256": _digest(self.indices)}
            meta["picture"] = {name: x.tolist() for name, x in self.picture.items()}
            write_whole(path, lambda f: f.write(json.dumps(meta, indent=1).encode()))
        else:
            arrays: dict[str, Any] = {"indices": self.indices, **self.picture}
            text = np.array(json.dumps(meta))
            write_whole(path, lambda f: np.savez(f, meta=text, **arrays))
        return path

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Selection:
        """What `save` wrote to `path`. Raises ValueError for another file or format version."""
        path = _with_suffix(path)
        try:
            if path.suffix == ".json":
                meta = json.loads(path.read_bytes())
                arrays = {name: np.array(x) for name, x in meta["picture"].items()}
                arrays["indices"] = np.load(path.with_name(meta["indices"]["file"]))
                if _digest(arrays["indices"]) != meta["indices"]["sha256"]:
                    raise ValueError(f"{meta['indices']['file']} is of another selection")
            else:
                with np.load(path) as file:
                    arrays = dict(file)
                meta = json.loads(str(arrays.pop("meta")))
            if meta["format"] != FORMAT:
                raise ValueError(meta["format"])
            return cls(
                arrays.pop("indices"),
                Diagnosis.from_plain(meta["diagnosis"]),
                meta["settings"],
                arrays,
            )
        except (ValueError, TypeError, KeyError, AttributeError, EOFError, BadZipFile) as error:
            raise ValueError(
                f"path: expected a selection of format {FORMAT}, got {path} ({error!r})"
            ) from None

    def plot(self, path: str | os.PathLike[str] | None = None) -> Any:
        """A picture: pool and selection in two dimensions, and the spectrum with the intrinsic
        dimension. Written to `path` where given; returns the matplotlib figure."""
        title = str(self.settings["method"])
        return plot_selection(self.picture, self.diagnosis, title, path)


def _with_suffix(path: str | os.PathLike[str]) -> Path:
    path = Path(path)
    return path if path.suffix in (".npz", ".json") else path.with_name(path.name + ".npz")


def picture_of(pool: Pool, indices: Indices) -> dict[str, Array]:
    """What the plot needs: pool (at most PICTURE_ROWS rows, evenly taken) and selection along the
    two leading eigenvectors, and the spectrum."""
    plane = pool.moments.eigenvectors[:, :2]
    return {
        "pool": pool.Z.array(slice(None, None, -(-len(pool.Z) // PICTURE_ROWS))) @ plane,
        "selected": pool.Z.array(indices) @ plane,
        "eigenvalues": pool.moments.eigenvalues,
    }


def _digest(indices: Indices) -> str:
    return hashlib.sha256(indices.tobytes()).hexdigest()


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
