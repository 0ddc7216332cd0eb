"""The one call: gradients (or their sketch) in, n rows and a diagnosis out."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, get_args

import numpy as np

from . import _core, _lengths
from ._diagnose import (
    BOUND,
    DRAWS,
    diagnose_means,
    diagnose_rows,
    not_diagnosed,
    with_lengths,
)
from ._input_rows import checked, entry_error, sketch_dim_for, sketched
from ._plan import plan
from ._selection import Selection, no_picture, picture_of
from ._support import arrays, checks, tensors
from ._support.float16_rows import Float16Rows
from ._support.json_text import plain
from ._support.progress import bar
from ._support.ranks import Ranks, ranks_of_group, require_same
from ._support.rows_here import RowsHere
from ._support.side_by_side import SideBySide
from ._support.types import Indices, Matrix, PerClass, VectorLike
from ._usable import Usable
from ._version import __version__
from .methods import own_function
from .methods.class_counts import ClassCounts
from .methods.gradient_matching import metric_of
from .methods.own_function import OwnFunction
from .methods.problem import Chosen, Problem
from .methods.registry import METHODS, REGISTRY, MethodName
from .methods.relaxation import TOL, lower_bound, products
from .methods.targets import labelled_tasks_of, tasks_of
from .pool.pool import Pool
from .pool.rank_rows import RankRowMatrix
from .sketch.base import Sketch
from .sketch.memmap import is_mapped
from .sketch.operators import Kind, make
from .sketch.store import SketchStore

OWN = ("n_threads", "progress", "scratch_dir")  # arguments in which ranks may differ

Rows = Matrix | Float16Rows | SideBySide | SketchStore
Target = Rows | Sequence[Rows] | tuple[Rows, VectorLike] | Sequence[tuple[Rows, VectorLike]]
Diagnose = Literal["auto", "full", "fast", "none"]
Pilot = Literal["linear"] | Callable[[Indices], Rows | tuple[Rows, Rows | Sequence[Rows]]]


def select(
    X: Rows,
    n: int | float,
    *,
    method: MethodName | OwnFunction = "auto",
    sketch_dim: int | None = None,
    sketch: Kind = "sparse-sign",
    unit_rows: bool = False,
    y: VectorLike | None = None,
    per_class: PerClass | None = None,
    include: VectorLike | None = None,
    exclude: VectorLike | None = None,
    pilot: Pilot | None = None,
    lengths: VectorLike | None = None,
    diagnose: Diagnose = "auto",
    target: Target | None = None,
    scratch_dir: str | os.PathLike[str] | None = None,
    seed: int = 0,
    n_threads: int | None = None,
    progress: bool = False,
    **method_options: Any,
) -> Selection:
    """Choose n of the N rows of X: sketch where X is wide, select, diagnose.

    Parameters
    ----------
    X : (N, r) array, CSR matrix, tensor, frame or SketchStore, or several by `combine`
        Per-sample gradients, their sketch, or features. Read where they lie: NumPy arrays
        (`np.memmap` too) of float16, float32 or float64 with rows of contiguous elements; SciPy CSR
        of float32 or float64; torch tensors, bfloat16 too. A tensor on a CUDA device stays there:
        results agree with those of the CPU to rounding. Copied in memory: frames of pandas and
        polars, tables of pyarrow (of numeric columns, or of one column of lists), lists, arrays of
        integers, of another order or byte order (but no memory maps), SciPy's other formats.
    n : int or float
        A count in [1, N], or a share of N in (0, 1).
    method : str or callable, default "auto"
        "auto" is gradient matching. It takes rows in proportion from each class of y and from cells
        of alike rows, and exchanges them until their mean gradient is near that of all rows. With
        `pilot` it matches gradients at a finetuned head; with `target`, the mean of the target.
        Or another name of `METHODS`, or a function `(Z, n, seed, **method_options)` -> n distinct
        rows of the (N, m) array Z. The function gets y, and a list of the sketched targets, where
        it has parameters of these names (y, target).
    sketch_dim : int, optional
        The width m of the sketch; X is sketched where r > m. Default: min(r, 512) for "auto" and
        "gradient-matching"; for others min(r, 512, n // 2), so that the rows chosen can span the
        sketch with some to spare (at least 1; 8 for "grouped-sign").
    sketch : {"sparse-sign", "grouped-sign", "gaussian"}
        The family of Γ. "grouped-sign" is faster on dense rows and needs at least 8 dimensions.
    unit_rows : bool, default False
        Scale the rows of Z to norm 1, so that the choice does not depend on how long gradients are.
        For "v-optimal" by gradients with labels it is the safer way (bench/README.md). Rows that
        are not sketched are copied, those of a memory map to `scratch_dir` or the system's folder
        for temporary files. The diagnosis is that of the scaled rows.
    y : (N,) labels, optional
        Classes, which `per_class` counts. "auto" and "gradient-matching" make cells inside
        classes; draws from a relaxed selection walk class by class, so that each class has its
        share. Floats some of which have a fraction are the numbers of a regression for "auto" and
        "gradient-matching". With classes the diagnosis of any method counts the rows of each.
    per_class : {"proportional", "sqrt", "balanced"}, number or mapping, optional
        How many rows of each class: in proportion to the classes' sizes, to their square roots,
        equally many; in proportion to the sizes to a power in [0, 1]; or a mapping of classes to
        counts (0 where a class is absent). By default "auto" and "gradient-matching", without a
        target, count in proportion, with at least one row of each class where n is at least
        twice their number; other methods do not count.
    include, exclude : row numbers, optional
        Rows that must and must not be chosen; with `per_class`, inside its counts. An excluded row
        with NaN or Inf (in X, probs or logits) or without a label is no part of the pool: the
        selection is that of X without it. For this X is copied, where it is a memory map to
        `scratch_dir` or the system's folder for temporary files.
    pilot : "linear" or callable, optional
        Match the gradients at a head that was finetuned on a first choice ("auto" and
        "gradient-matching"). "linear": X are features or embeddings, and y classes or the numbers
        of a regression; a softmax or ridge head is fitted, and the gradients at it are sketched. Or
        a function from the rows chosen first to the (N, .) gradients at what was finetuned on them
        (`skmm_fast.gradients.pilot` makes it of a torch model); with a target, to a pair: these,
        and the gradients of the target's rows there, or a list of them for several tasks. A pilot
        must not have seen the whole pool. The diagnosis is about its gradients.
    lengths : (N,) numbers, optional
        How long the samples are, in tokens say. They do not change the choice: the diagnosis has
        their mean, and warns where the choice is one by length. A store of a language model's
        sketches knows them.
    diagnose : {"auto", "full", "fast", "none"}
        How much of the diagnosis is made. "full": all of it. "auto" leaves out the certified bound
        where the method does not give it and it takes more than 1.6 · 10¹⁰ operations: it may then
        take longer than the choice. "fast" leaves out V-optimality too. So do "full" and "auto"
        where the methods "auto" or "gradient-matching" choose fewer rows than the rank of Z.
        "none": no figures and no picture; X is then looked at only as far as the method needs.
    target : (T, r) rows like X, a pair of these and (T,) labels, or a list of such, optional
        What the finetuned model is for: gradients (or features) of a few samples of the target
        task, with the columns of X; a list has the rows of each of several tasks. With
        pilot="linear" each task is a pair (rows, labels), the labels like those of y. Where X is
        sketched they are sketched with the same Γ, and `unit_rows` scales them too.
        docs/how_to/methods.md has the methods that use a target; others refuse one. "auto" brings
        the mean of the rows chosen near the mean over tasks of their mean rows. "v-optimal" scales
        rows to norm 1 and makes tr(Σ Σ̃_S⁻¹) small, where Σ is 0.9 times the second moment of the
        target plus 0.1 times that of X; settings["solver"] has this number and a certified bound.
        In the diagnosis the error of the mean gradient is that to the mean of the target; other
        figures are about X alone.
    scratch_dir : path, optional
        A folder for what may not fit in memory: the sketch of X, and a rotated copy of it for
        "moment-matching" (there also where X is a memory map that is not sketched). What is on a
        device stays there.
    seed : int, default 0
        The seed of everything random.
    n_threads : int, optional
        Threads of the core. The result does not depend on it.
    progress : bool, default False
        Say the expected time and memory on stderr (`plan`; not for X on a device, nor across
        processes), and show bars (needs tqdm).
    **method_options
        Options of the method. "auto" and "gradient-matching" take `ridge` and `sweeps`, those of
        `match_mean`, and `rows_per_cell` (default 4), about how many rows a cell gives.
        "v-optimal" takes those of `v_optimal`, and for several targets `over_targets` ("mean", or
        "worst" for the largest number); "moment-matching" those of `match_moments`, `draw`
        ("systematic", "pivotal" or "top") and `refine` (exchanges after the draw); other methods
        say theirs in their docstrings in `skmm_fast.methods`.

    Returns
    -------
    Selection
        Its `indices` are ascending, distinct, int64, and exactly n; `weights` are for a finetune
        that weights its loss; `diagnosis` says how good the choice is.

    Raises
    ------
    TypeError, ValueError
        An argument of a wrong type, shape or value, NaN or Inf in X, a method without an input that
        it needs or with a target that it does not use, constraints that no n rows meet. The message
        names the argument, what was expected and what came.
    OSError
        `scratch_dir` cannot hold what goes there.

    Notes
    -----
    Inside a process group of torch.distributed of several processes, "moment-matching" and
    "v-optimal" choose from a SketchStore together: each process reads its own rows, and all rows
    of a target. All of them must make the call, with the same arguments, and each gets the
    selection of one process, figures of the diagnosis to rounding. From its `store.array()` one
    process chooses alone. There `exclude` does not let go of rows or labels that cannot be read. A
    RuntimeError says that another process failed or did not come; the group is then of no more use
    (docs/how_to/scaling.md).

    The sketch is that of SkMM (arXiv 2407.06120, algorithm 1). Sources of the methods: the table of
    methods in docs/how_to/methods.md. How they work: docs/explanation/algorithms.md, "auto" in its
    section 7.

    Examples
    --------
    >>> import numpy as np
    >>> import skmm_fast as skmm
    >>> G = np.random.default_rng(0).standard_normal((1000, 300)).astype(np.float32)
    >>> selection = skmm.select(G, 50)
    >>> len(selection.indices)
    50
    >>> y = np.arange(1000) % 4
    >>> balanced = skmm.select(G, 40, method="uniform", y=y, per_class="balanced")
    >>> np.bincount(y[balanced.indices])
    array([10, 10, 10, 10])
    >>> for_task = skmm.select(G, 50, method="v-optimal", target=G[:9] + 1).settings["solver"]
    >>> for_task["target_lower_bound"] <= for_task["target_v_optimality"]
    True
    """
    arguments: dict[str, Any] = {
        "method": method, "sketch_dim": sketch_dim, "sketch": sketch, "unit_rows": unit_rows,
        "y": y, "per_class": per_class, "include": include, "exclude": exclude, "pilot": pilot,
        "lengths": lengths, "diagnose": diagnose, "target": target, "scratch_dir": scratch_dir,
        "seed": seed, "n_threads": n_threads, "progress": progress, **method_options,
    }  # fmt: skip
    if isinstance(X, SketchStore) and pilot is None and _is_on_ranks(method):
        ranks = ranks_of_group()
        if ranks is not None:
            with ranks.together():
                # Without one rounding of products and sums, some choices could differ.
                core = {"version": __version__, "SKMM_ISA": _core.isa == "baseline"}
                shapes = [checked(*task).shape for task in tasks_of("target", target)]
                given = {"X": repr(X._manifest), "n": n, **arguments, "target": shapes, **core}
                require_same(ranks, given, but=OWN)
                arguments["progress"] = progress and ranks.rank == 0
                return _selected(X, n, ranks, **arguments)
    return _selected(X, n, None, **arguments)


def _is_on_ranks(method: Any) -> bool:
    """Whether it is a method that takes rows of several ranks."""
    return isinstance(method, str) and method in REGISTRY and REGISTRY[method].on_ranks


def _selected(
    X: Any,
    n: int | float,
    ranks: Ranks | None,
    *,
    method: MethodName | OwnFunction,
    sketch_dim: int | None,
    sketch: Kind,
    unit_rows: bool,
    y: Any,
    per_class: Any,
    include: Any,
    exclude: Any,
    pilot: Any,
    lengths: Any,
    diagnose: Diagnose,
    target: Any,
    scratch_dir: str | os.PathLike[str] | None,
    seed: int,
    n_threads: int | None,
    progress: bool,
    **method_options: Any,
) -> Selection:
    """`select`, alone or together with other ranks."""
    if ranks is None:
        A = checked("X", X)
        N, r = A.shape
    else:
        N, r = len(X), X.sketch_dim
        A = X._array_of(RowsHere(N, ranks))
    here = RowsHere(N, ranks)
    if lengths is not None:
        long = _lengths.checked("lengths", lengths, N, here)
    else:
        known = X._lengths_of(here) if isinstance(X, SketchStore) else None
        known = X.lengths if isinstance(X, SideBySide) else known
        long = None if known is None else known.astype(np.float64)
    usable = None
    if exclude is not None and ranks is None:
        usable = Usable.of(A, y, include, exclude, method_options)
    if usable is not None:
        among = _selected(
            usable.of_matrix(X if tensors.is_torch(X) else A, scratch_dir), checks.count(n, N),
            None, method=method, sketch_dim=sketch_dim, sketch=sketch, unit_rows=unit_rows,
            y=usable.of_labels(y), per_class=per_class, include=usable.numbers(include, "include"),
            exclude=usable.numbers(exclude, "exclude"), pilot=usable.of_pilot(pilot),
            lengths=None if long is None else long[usable.rows], diagnose=diagnose, target=target,
            scratch_dir=scratch_dir, seed=seed, n_threads=n_threads, progress=progress,
            **usable.of_options(method_options),
        )  # fmt: skip
        excluded = len(arrays.rows("exclude", exclude, N))
        call = {"n": n, "n_exclude": excluded, "pilot": _named_pilot(pilot), **_of_store(X)}
        return usable.selection(among, call)
    requested, n = n, checks.count(n, N)
    if callable(method):
        own_function.require_target(method, target is not None)
    else:
        entry = REGISTRY[checks.choice("method", method, METHODS)]
        entry.require_options(method_options, inspect.signature(select).parameters)
        entry.require_target(target is not None)
    unit_rows = checks.boolean("unit_rows", unit_rows)
    checks.choice("diagnose", diagnose, get_args(Diagnose))
    spans = callable(method) or REGISTRY[method].spans
    m = sketch_dim_for(r, n if spans else 2 * r, sketch, sketch_dim)

    def pool() -> Pool:
        Z = sketched("X", A, gamma(), unit_rows, threads, progress, scratch_dir)
        alone = ranks is None and not tensors.on_device(Z)  # what `plan` knows
        if progress and isinstance(method, str) and alone:
            _say_plan(Z, n, method, scratch_dir, threads)
        if ranks is None:
            return Pool.of(Z, name="X", n_threads=threads, entry_error=entry_error(A))
        rows = RankRowMatrix(Z, entry_error(A), here)
        return Pool.of_rows(rows, "X", threads)

    def gamma_of(in_dim: int) -> Sketch | None:
        width = sketch_dim_for(in_dim, 2 * in_dim, sketch, sketch_dim)
        return make(sketch, in_dim, width, seed=problem.seed) if width < in_dim else None

    def made_pool(name: str, B: Any, S: Sketch | None) -> Pool:
        Z = sketched(name, B, S, unit_rows, threads)
        return Pool.of(Z, name=name, n_threads=threads, entry_error=entry_error(B))

    def pools_of(name: str, *matrices: Any) -> list[Pool]:
        given = [checked(name, rows) for rows in matrices]
        widths = sorted({B.shape[1] for B in given})
        if len(widths) > 1:
            raise ValueError(f"{name}: expected rows of one width, got {widths}")
        S = gamma_of(widths[0])
        return [made_pool(name, B, S) for B in given]

    def like_pool(name: str, rows: Any, n_rows: int | None = None) -> Callable[[], Pool]:
        B = checked(name, rows)
        if B.shape[1] != r or n_rows not in (None, B.shape[0]):
            many = "rows" if n_rows is None else f"{n_rows} rows"
            raise ValueError(f"{name}: expected {many} of {r} entries, got shape {tuple(B.shape)}")

        return lambda: made_pool(name, B, gamma())

    def gamma() -> Sketch | None:
        return make(sketch, r, m, seed=problem.seed) if m < r else None

    pilot = _checked_pilot(pilot, method)
    if pilot == "linear":
        tasks, labels = labelled_tasks_of("target", target)
    else:
        tasks, labels = tasks_of("target", target), []
    problem = Problem.of(
        pool, N, n, y=y, per_class=per_class, include=include, exclude=exclude, seed=seed,
        n_threads=n_threads, progress=progress, scratch_dir=scratch_dir, like_pool=like_pool,
        pilot=pilot, pools_of=pools_of, make_sketch=gamma_of,
        targets=[like_pool(name, rows) for name, rows in tasks],
        target_labels=[
            (*given, checked(*task).shape[0]) for given, task in zip(labels, tasks, strict=False)
        ],
        ranks=ranks,
    )  # fmt: skip
    threads = problem.n_threads
    if isinstance(method, str):
        chosen = REGISTRY[method].run(problem, **method_options)
    else:
        chosen = own_function.run(problem, method, method_options)
    weights = chosen.weights
    if weights is None:
        weights = problem.constraints.class_weights(chosen.rows)
    judged = chosen.judged or problem
    if diagnose == "none":
        diagnosis, picture = not_diagnosed(n, N), no_picture()
    else:
        by, metric = judged.pool, metric_of(judged)
        if diagnose != "fast" and (spans or n >= by.moments.rank):
            bound = _bound_of_all_rows(judged, chosen, np.inf if diagnose == "full" else BOUND)
            diagnosis = diagnose_rows(
                by, metric, chosen.rows, weights, DRAWS, problem.seed, bound, problem.progress
            )
        else:
            diagnosis = diagnose_means(by, metric, chosen.rows, weights)
        picture = picture_of(by, chosen.rows)
    counts = ClassCounts.of(problem.labels, chosen.rows, here)
    diagnosis = with_lengths(replace(diagnosis, class_counts=counts), long, chosen.rows, here)
    facts = chosen.facts
    if not facts.get("converged", True):
        said = f"moment matching did not converge: gap {facts['gap']:.3g}; raise max_iter or tol"
        diagnosis = replace(diagnosis, warnings=(*diagnosis.warnings, said))
    settings = {
        "method": method if isinstance(method, str) else own_function.name_of(method),
        "n": requested,
        "n_samples": N,
        "in_dim": r,
        "sketch": sketch if m < r else None,
        "sketch_dim": m,
        "unit_rows": unit_rows,
        "per_class": list(per_class.items()) if isinstance(per_class, Mapping) else per_class,
        "n_include": len(problem.constraints.include),
        "n_exclude": len(arrays.rows("exclude", exclude, N)),
        "pilot": _named_pilot(pilot),
        "n_target": [len(task.Z) for task in problem.targets],
        "seed": problem.seed,
        "options": method_options,
        "solver": facts,
        **_of_store(X),
    }
    return Selection(chosen.rows, diagnosis, plain(settings), picture, weights)


def _of_store(X: Any) -> dict[str, Any]:
    """What the settings of a selection say of a store: the loss whose gradients it has."""
    loss = X.fingerprint.get("loss") if isinstance(X, SketchStore) else None
    return {} if loss is None else {"loss": loss}


def _named_pilot(pilot: Any) -> str | None:
    return pilot if pilot is None or isinstance(pilot, str) else own_function.name_of(pilot)


def _checked_pilot(pilot: Any, method: Any) -> Any:
    if pilot is None:
        return None
    if not callable(pilot) and not (isinstance(pilot, str) and pilot == "linear"):
        raise ValueError(f"pilot: expected None, 'linear' or a function, got {pilot!r}")
    if callable(method) or not REGISTRY[method].uses_pilot:
        those = ", ".join(repr(m.name) for m in REGISTRY.values() if m.uses_pilot)
        raise ValueError(f"pilot: expected None with method {method!r}; {those} use a pilot")
    return pilot


def _say_plan(
    Z: Any,
    n: int,
    method: MethodName,
    scratch_dir: str | os.PathLike[str] | None,
    n_threads: int | None,
) -> None:
    """Prints to stderr what the selection is expected to take."""
    if REGISTRY[method].cost is None:
        return
    N, m = Z.shape
    scratch = scratch_dir is not None or is_mapped(Z)
    expected = plan(N, m, n, method=method, dtype=Z.dtype, scratch=scratch, n_threads=n_threads)
    print(f"select {n} of {N} rows, m = {m}, {method}: {expected}", file=sys.stderr)


def _bound_of_all_rows(judged: Problem, chosen: Chosen, most: float) -> float:
    """A lower bound of tr(Σ̃ Σ̃_S⁻¹) over all sets of n rows, without the constraints; -inf if the
    method did not give it and it takes more multiplications and additions than `most`."""
    relaxed = chosen.relaxation
    if relaxed is not None and not judged.constraints.constrained and relaxed.tol <= TOL:
        return relaxed.lower_bound
    if products(*judged.pool.Z.shape, judged.n) > most:
        return -np.inf
    with bar("bound", None, judged.progress, "steps") as tick:
        return lower_bound(judged.pool, judged.n, tick)
