"""The one call: gradients (or their sketch) in, n rows and a diagnosis out."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import scipy.sparse as sp

from . import _validate
from . import sketch as sketches
from ._extras import need
from ._files import write_whole
from ._validate import Array, Indices
from .design import v_optimal
from .diagnose import Diagnosis, diagnose
from .draw import draw as draw_rows
from .moments import Pool, match_moments

FORMAT = 1
MAX_SKETCH_DIM = 512  # of the default
PICTURE_ROWS = 5000  # of the pool kept for the picture


def select(
    X: Any,
    n: int | float,
    method: str = "v-optimal",
    sketch_dim: int | None = None,
    sketch: str = "sparse-sign",
    y: Any = None,
    per_class: str | Mapping[Any, int] | None = None,
    include: Any = None,
    exclude: Any = None,
    seed: int = 0,
    n_threads: int | None = None,
    progress: bool = False,
    **method_options: Any,
) -> Selection:
    """Choose n of the N rows of X: sketch where X is wide, select, diagnose.

    Parameters
    ----------
    X : (N, r) per-sample gradients, their sketch, or features: NumPy float32 or float64
        (`np.memmap` too), SciPy CSR, or a torch tensor on the CPU
    n : an int in [1, N], or a share of N in (0, 1)
    method : "v-optimal" (options of `v_optimal`) or "moment-matching" (options of
        `match_moments`, and `draw` = "systematic", "pivotal" or "top")
    sketch_dim : m; X is sketched where r > m. Default: min(r, 512, max(1, n // 2)), so that the
        rows chosen can span the sketch with some to spare
    sketch : "sparse-sign" or "gaussian"
    y, per_class : (N,) labels and rows per class, "proportional", "balanced" or a mapping (only
        "v-optimal")
    include, exclude : rows that must and must not be chosen
    seed : of everything random
    n_threads : of the core
    progress : show bars (needs tqdm)

    Returns
    -------
    Selection, with `.indices`: ascending, distinct, int64, exactly n.

    Source: SkMM, arXiv 2407.06120, algorithm 1.
    Raises TypeError or ValueError naming the argument, what was expected and what came.
    """
    A = _validate.csr("X", X) if sp.issparse(X) else _validate.dense("X", X)
    N, r = A.shape
    requested, n = n, _validate.count(n, N)
    _validate.choice("method", method, tuple(METHODS))
    _validate.choice("sketch", sketch, sketches.KINDS)
    seed = _validate.seed(seed)
    run = METHODS[method]
    _check_options(method, run, method_options)
    if sketch_dim is None:
        m = min(r, MAX_SKETCH_DIM, max(1, n // 2))
    else:
        m = min(r, _validate.integer("sketch_dim", sketch_dim, 1))
    include, exclude = _validate.constraints(N, n, include, exclude)

    if m < r:
        S = sketches.make(sketch, r, m, seed)
        Z = S._apply("X", A, n_threads=n_threads, progress=progress)
    else:
        Z = np.ascontiguousarray(A.toarray() if sp.issparse(A) else A)
    pool = Pool.of(Z, "X")
    common = {"seed": seed, "n_threads": n_threads, "progress": progress}
    constraints = {"y": y, "per_class": per_class, "include": include, "exclude": exclude}
    indices = run(pool, n, common, constraints, **method_options)
    settings = {
        "method": method,
        "n": requested,
        "n_samples": N,
        "in_dim": r,
        "sketch": sketch if m < r else None,
        "sketch_dim": m,
        "per_class": list(per_class.items()) if isinstance(per_class, Mapping) else per_class,
        "n_include": len(include),
        "n_exclude": len(exclude),
        "seed": seed,
        "options": method_options,
    }
    return Selection(
        indices=indices,
        diagnosis=diagnose(pool, indices, seed=seed, n_threads=n_threads),
        settings={name: _plain(value) for name, value in settings.items()},
        picture=_picture(pool, indices),
    )


def _check_options(method: str, run: Callable[..., Indices], options: dict[str, Any]) -> None:
    known = [
        name for name, p in inspect.signature(run).parameters.items() if p.default is not p.empty
    ]
    for name in options:
        if name not in known:
            raise TypeError(f"{name}: expected an option of method {method!r} ({', '.join(known)})")


def _v_optimal(
    pool: Pool,
    n: int,
    common: dict[str, Any],
    constraints: dict[str, Any],
    sampler: str = "greedy",
    block: int = 1,
    refine: bool = True,
    temperature: float = 0.1,
) -> Indices:
    return v_optimal(
        pool,
        n,
        sampler,
        block,
        refine,
        temperature=temperature,
        bound=False,
        **constraints,
        **common,
    ).indices


def _moment_matching(
    pool: Pool,
    n: int,
    common: dict[str, Any],
    constraints: dict[str, Any],
    c_s: float = 0.999,
    weighting: str = "paper",
    init: Any = "random",
    tol: float = 1e-6,
    max_iter: int = 1000,
    draw: str = "systematic",
) -> Indices:
    if constraints.pop("per_class") is not None:
        raise ValueError("per_class: expected method='v-optimal', got method='moment-matching'")
    del constraints["y"]
    fit = match_moments(pool, n, c_s, weighting, init, tol, max_iter, **constraints, **common)
    return draw_rows(fit.s, n, draw, common["seed"])


# Every method: (pool, n, seed etc., constraints, options of its own) -> rows.
METHODS: dict[str, Callable[..., Indices]] = {
    "v-optimal": _v_optimal,
    "moment-matching": _moment_matching,
}


def _plain(value: Any) -> Any:
    """The value as JSON gives it back."""
    if isinstance(value, dict):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, np.generic):
        return value.item()
    return value if isinstance(value, (str, int, float, bool, type(None))) else repr(value)


def _picture(pool: Pool, indices: Indices) -> dict[str, Array]:
    """What the plot needs: pool (at most PICTURE_ROWS rows, evenly taken) and selection along the
    two leading eigenvectors, and the spectrum."""
    plane = pool.moments.eigenvectors[:, :2]
    return {
        "pool": pool.Z[:: -(-len(pool.Z) // PICTURE_ROWS)] @ plane,
        "selected": pool.Z[indices] @ plane,
        "eigenvalues": pool.moments.eigenvalues,
    }


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
        if hasattr(dataset, "iloc"):
            return dataset.iloc[self.indices]
        if shaped:
            return dataset[self.indices]
        if isinstance(dataset, (list, tuple)):
            return [dataset[i] for i in self.indices]
        if hasattr(dataset, "select"):
            return dataset.select(self.indices)
        return need("torch.utils.data", "torch").Subset(dataset, self.indices.tolist())

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write one `.npz`, or, where path ends in .json, that JSON and an `.indices.npy` beside
        it. Returns the path written (".npz" is added where there is no such suffix).

        Each file is written under a temporary name, synced and renamed: it exists whole or not.
        """
        path = _with_suffix(path)
        diagnosis = asdict(self.diagnosis)
        diagnosis["random_v_optimality"] = self.diagnosis.random_v_optimality.tolist()
        meta = {"format": FORMAT, "settings": self.settings, "diagnosis": diagnosis}
        if path.suffix == ".json":
            beside = path.with_suffix(".indices.npy")
            write_whole(beside, lambda f: np.save(f, self.indices))
            meta["indices"] = beside.name
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
                arrays["indices"] = np.load(path.with_name(meta["indices"]))
            else:
                with np.load(path) as file:
                    arrays = dict(file)
                meta = json.loads(str(arrays.pop("meta")))
            if meta["format"] != FORMAT:
                raise ValueError(meta["format"])
            diagnosis = meta["diagnosis"]
            diagnosis["random_v_optimality"] = np.array(diagnosis["random_v_optimality"])
            diagnosis["warnings"] = tuple(diagnosis["warnings"])
            return cls(arrays.pop("indices"), Diagnosis(**diagnosis), meta["settings"], arrays)
        except (ValueError, TypeError, KeyError, AttributeError, EOFError, BadZipFile) as error:
            raise ValueError(
                f"path: expected a selection of format {FORMAT}, got {path} ({error!r})"
            ) from None

    def plot(self, path: str | os.PathLike[str] | None = None) -> Any:
        """A picture: pool and selection in two dimensions, and the spectrum with the intrinsic
        dimension. Written to `path` where given; returns the matplotlib figure."""
        from .plot import plot_selection

        return plot_selection(self, path)


def _with_suffix(path: str | os.PathLike[str]) -> Path:
    path = Path(path)
    return path if path.suffix in (".npz", ".json") else path.with_name(path.name + ".npz")
