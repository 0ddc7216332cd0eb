"""The one call: gradients (or their sketch) in, n rows and a diagnosis out."""

from __future__ import annotations

import inspect
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from ._diagnose import diagnose
from ._plan import METHODS as PLANNED
from ._plan import plan
from ._selection import Selection, picture_of, plain
from ._support import checks
from ._support.checks import Indices
from ._support.scratch import room
from .methods.baselines import OF_MORE, OF_ROWS
from .methods.constraints import labels, quotas
from .methods.moment_matching import check_options as check_matching
from .methods.moment_matching import match_moments
from .methods.problem import Method, Request
from .methods.relaxation import TOL
from .methods.sampling import METHODS as DRAWS
from .methods.v_optimality import check_options as check_design
from .methods.v_optimality import polish, v_optimal
from .methods.walk import draw_along
from .pool.pool import Pool
from .pool.unit_rows import of_unit_norm, of_unit_norm_on_device
from .sketch import operators as sketches
from .sketch.memmap import is_mapped
from .sketch.store import SketchStore

MAX_SKETCH_DIM = 512  # of the default

Function = Callable[..., Any]  # a method of the user's


def select(
    X: Any,
    n: int | float,
    method: str | Function = "v-optimal",
    sketch_dim: int | None = None,
    sketch: str = "sparse-sign",
    y: Any = None,
    per_class: str | Mapping[Any, int] | None = None,
    include: Any = None,
    exclude: Any = None,
    seed: int = 0,
    n_threads: int | None = None,
    progress: bool = False,
    scratch_dir: str | os.PathLike[str] | None = None,
    unit_rows: bool = False,
    **method_options: Any,
) -> Selection:
    """Choose n of the N rows of X: sketch where X is wide, select, diagnose.

    Parameters
    ----------
    X : (N, r) per-sample gradients, their sketch, or features: NumPy float32, float64 or float16
        (`np.memmap` too), SciPy CSR, a `SketchStore`, or a torch tensor (bfloat16 too), on the CPU
        or a CUDA device, where it stays: there, results agree with those of the CPU to rounding
    n : an int in [1, N], or a share of N in (0, 1)
    method : "v-optimal" (options of `v_optimal`); "moment-matching" (options of `match_moments`;
        `draw` = "systematic", "pivotal" or "top"; `refine` = True: exchanges after the draw, as
        `v_optimal` makes them); a name of `METHODS`, which `baselines` describes; or a function
        (Z, n, seed, **method_options) -> n distinct rows of the (N, m) array Z, yours; it gets y
        where it has a parameter of this name
    sketch_dim : m; X is sketched where r > m. Default: min(r, 512, n // 2), so that the
        rows chosen can span the sketch with some to spare (at least 1; 8 for "grouped-sign")
    sketch : "sparse-sign", "grouped-sign" (dense rows faster; at least 8 dimensions) or "gaussian"
    y, per_class : (N,) labels, along which draws are spread, and rows per class, "proportional",
        "balanced" or a mapping
    include, exclude : rows that must and must not be chosen
    seed : of everything random
    n_threads : of the core
    progress : say the expected time and memory (`plan`; not where X is on a device), and show bars
        (needs tqdm)
    scratch_dir : a folder for what may not fit in memory: the sketch of X, and a rotated copy of it
        for "moment-matching" (there also where X is a memory map and not sketched); what is on a
        device stays there
    unit_rows : scale the rows of Z to norm 1, so that the choice does not depend on how long
        gradients are. For gradients with labels it is the safer way (bench/README.md). What is not
        sketched is copied, from a memory map to scratch_dir or the system's folder for temporary
        files; the diagnosis is that of the scaled rows

    Returns
    -------
    Selection, with `.indices`: ascending, distinct, int64, exactly n.

    Source: SkMM, arXiv 2407.06120, algorithm 1.
    Raises TypeError or ValueError naming the argument, what was expected and what came.
    """
    X, A = _checked("X", X)
    N, r = A.shape
    requested, n = n, checks.count(n, N)
    if not callable(method):
        checks.choice("method", method, tuple(METHODS))
        _check_options(method, method_options)
    checks.choice("sketch", sketch, tuple(sketches.KINDS))
    seed, unit_rows = checks.seed(seed), checks.boolean("unit_rows", unit_rows)
    least = sketches.KINDS[sketch].least_out_dim
    if sketch_dim is None:
        m = min(r, MAX_SKETCH_DIM, max(least, n // 2))
    else:
        m = min(r, checks.integer("sketch_dim", sketch_dim, 1))
    if m < min(r, least):
        raise ValueError(f"sketch_dim: expected at least {least} with {sketch!r}, got {m}")
    if y is not None:
        labels(y, N)
    quotas(N, n, y, per_class, include, exclude)  # raises before anything long begins

    S = sketches.make(sketch, r, m, seed) if m < r else None

    def pool() -> Pool:
        Z = _sketched("X", X, A, S, unit_rows, n_threads, progress, scratch_dir)
        if progress and method in PLANNED and not checks.on_device(Z):
            scratch = scratch_dir is not None or is_mapped(Z)
            expected = plan(N, m, n, method, dtype=Z.dtype, scratch=scratch, n_threads=n_threads)
            print(f"select {n} of {N} rows, m = {m}, {method}: {expected}", file=sys.stderr)
        return Pool.of(Z, "X", n_threads)

    def sketched(name: str, rows: Any) -> Any:
        rows, B = _checked(name, rows)
        if B.shape[1] != r:
            raise ValueError(f"{name}: expected rows of {r} entries, got shape {tuple(B.shape)}")
        return _sketched(name, rows, B, S, unit_rows, n_threads)

    request = Request(
        N, n, pool, y, per_class, include, exclude, seed, n_threads, progress, scratch_dir, sketched
    )
    if isinstance(method, str):
        indices, solver = METHODS[method](request, **method_options)
    else:
        indices, solver = _by_function(request, method, method_options), {}
    diagnosis = diagnose(request.pool, indices, seed=seed, n_threads=n_threads)
    if not solver.get("converged", True):
        said = (
            f"moment matching did not converge: gap {solver['gap']:.3g}; raise max_iter or tol",
        )
        diagnosis = replace(diagnosis, warnings=diagnosis.warnings + said)
    settings = {
        "method": method if isinstance(method, str) else _name_of(method),
        "n": requested,
        "n_samples": N,
        "in_dim": r,
        "sketch": sketch if m < r else None,
        "sketch_dim": m,
        "unit_rows": unit_rows,
        "per_class": list(per_class.items()) if isinstance(per_class, Mapping) else per_class,
        "n_include": len(checks.rows("include", include, N)),
        "n_exclude": len(checks.rows("exclude", exclude, N)),
        "seed": seed,
        "options": method_options,
        "solver": solver,
    }
    return Selection(indices, diagnosis, plain(settings), picture_of(request.pool, indices))


def _check_options(method: str, options: dict[str, Any]) -> None:
    parameters = inspect.signature(METHODS[method]).parameters.values()
    known = ", ".join(p.name for p in parameters if p.default is not p.empty) or "it has none"
    for name in options:
        if name not in known.split(", "):
            raise TypeError(f"{name}: expected an option of method {method!r} ({known})")


def _checked(name: str, X: Any) -> tuple[Any, Any]:
    """X, or the array of a store, and the same checked."""
    if isinstance(X, SketchStore):
        X = X.array()
    if checks.on_device(X):
        return X, checks.tensor(name, X, ("float16", "bfloat16", "float32", "float64"))
    return X, checks.csr(name, X) if sp.issparse(X) else checks.gradients(name, X)


def _sketched(
    name: str,
    X: Any,
    A: Any,
    S: sketches.Sketch | None,
    unit_rows: bool,
    n_threads: int | None,
    progress: bool = False,
    scratch_dir: str | os.PathLike[str] | None = None,
) -> Any:
    """Z = XΓ, or X as a matrix of floats where S is None. A: X checked."""
    on_device = checks.on_device(A)
    Z: Any
    if S is not None:
        in_file = scratch_dir is not None and not on_device
        shape = (A.shape[0], S.out_dim)
        out = room(shape, sketches.sum_type(A), scratch_dir) if in_file else None
        Z = S._apply(name, X, out=out, n_threads=n_threads, progress=progress)
    elif on_device:
        Z = A.float() if A.dtype.itemsize == 2 else A
    else:
        Z = np.ascontiguousarray(checks.widened(A) if isinstance(A, np.ndarray) else A.toarray())
    if not unit_rows:
        return Z
    if on_device:
        return of_unit_norm_on_device(Z, Z.new_empty(Z.shape) if Z is A else Z)
    Z = checks.numpy_view(name, Z)
    if scratch_dir is None and is_mapped(Z):
        scratch_dir = tempfile.gettempdir()
    ours = S is not None or not np.may_share_memory(Z, A)
    return of_unit_norm(name, Z, Z if ours else room(Z.shape, Z.dtype, scratch_dir))


def _name_of(function: Function) -> str:
    return str(getattr(function, "__qualname__", type(function).__qualname__))


def _by_function(request: Request, function: Function, options: dict[str, Any]) -> Indices:
    Z = request.pool.Z.array(slice(None)).view()
    Z.flags.writeable = False
    if "y" in inspect.signature(function).parameters:
        options = {"y": request.y, **options}
    rows = function(Z, request.n, request.seed, **options)
    chosen = checks.rows("method", rows, request.N)
    if len(chosen) != request.n:
        raise ValueError(f"method: expected {request.n} rows, got {len(chosen)}")
    allowed = request.allowed
    group = allowed.group[chosen]
    if (group < 0).any():
        raise ValueError(f"method: expected no excluded row, got {chosen[group < 0][0]}")
    if not np.isin(allowed.include, chosen).all():
        raise ValueError("method: expected the rows of include among those it chooses")
    if np.bincount(group, minlength=len(allowed.counts)).tolist() != allowed.counts:
        raise ValueError("method: expected as many rows of each class as per_class says")
    return chosen


def _v_optimal(
    request: Request,
    sampler: str = "greedy",
    block: int = 1,
    refine: bool = True,
    temperature: float = 0.1,
    tol: float = TOL,
    route: str = "auto",
) -> tuple[Indices, dict[str, Any]]:
    check_design(sampler, block, refine, temperature, tol, route)
    found = v_optimal(
        request.pool, request.n, sampler, block, refine, request.seed, temperature=temperature,
        tol=tol, route=route, n_threads=request.n_threads, progress=request.progress,
        **request.constraints,
    )  # fmt: skip
    return found.indices, {
        "route": found.route,
        "n_swaps": found.n_swaps,
        "ridge": found.ridge,
        "lower_bound": found.lower_bound,
    }


def _moment_matching(
    request: Request,
    c_s: float = 0.999,
    weighting: str = "paper",
    init: Any = "random",
    tol: float = 1e-6,
    max_iter: int = 1000,
    draw: str = "systematic",
    refine: bool = False,
) -> tuple[Indices, dict[str, Any]]:
    checks.choice("draw", draw, DRAWS)
    refine = checks.boolean("refine", refine)
    check_matching(request.n, request.N, c_s, weighting, tol, max_iter)
    fit = match_moments(
        request.pool, request.n, c_s, weighting, init, tol, max_iter, request.seed,
        request.n_threads, progress=request.progress, scratch_dir=request.scratch_dir,
        **request.constraints,
    )  # fmt: skip
    facts: dict[str, Any] = {
        "converged": fit.converged,
        "objective": fit.objective,
        "gap": fit.gap,
        "n_iter": fit.n_iter,
        "n_passes": fit.n_passes,
    }
    rows = draw_along(
        request.pool, fit.s, request.allowed, request.seed, request.classes, request.threads, draw
    )
    if refine:
        rows, facts["n_swaps"] = polish(
            request.pool, rows, request.allowed, request.seed, request.n_threads, request.progress
        )
    return rows, facts


OF_MOMENTS: dict[str, Method] = {
    "v-optimal": _v_optimal,
    "moment-matching": _moment_matching,
}
METHODS = OF_MOMENTS | OF_ROWS | OF_MORE
