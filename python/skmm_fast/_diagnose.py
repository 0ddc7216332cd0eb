"""How good a selection is, compared with random draws and with a bound on what is possible."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np

from . import _core, _lengths
from ._support import arrays, checks
from ._support.json_text import figure, plain, require_names
from ._support.progress import bar
from ._support.rows_here import RowsHere
from ._support.types import DenseMatrix, Floats, Indices, VectorLike
from ._verdict import verdict
from .methods.class_counts import ClassCounts
from .methods.labels import labels_of
from .methods.relaxation import lower_bound
from .pool.mean_metric import MeanMetric, mean_metric
from .pool.pool import Pool
from .pool.spectrum import Moments

# Let x_i = ‖z_i‖², divided by its mean over all rows. S is warned of where the mean of
# x_i over S and the mean of x_i² over all rows both exceed this. On real tasks (bench/NOTES.md)
# such selections were worse than uniform draws, except in a regression with random targets. Where
# selections were better, both means stayed below 1.8.
LARGE_NORMS = 2.0
DRAWS = 8  # uniform draws that a selection is compared with
BOUND = 1.6e10  # operations of a bound that `select` computes by default: about a second
OUTLIER = 4.0  # ‖b_i‖² beside its mean, from which on a row is an outlier
COPY = 0.999  # the cosine of two rows from which on one is a near copy of the other
FIGURES = (
    "mean_error", "random_mean_error", "effective_size", "outliers", "pool_outliers",
    "near_copies", "v_optimality", "lower_bound", "c_s", "spectral", "moment_error",
    "mean_length", "pool_mean_length",
)  # fmt: skip
ADDED = {"class_counts": None, "mean_length": "nan", "pool_mean_length": "nan"}  # to the format
COUNTS = {"rank": 0, "intrinsic_dim": 0, "n": 1, "n_samples": 1}  # and their least values
LOOKED_AT = 4096  # rows that outliers and near copies are looked for among, at most


@dataclass(frozen=True)
class Diagnosis:
    """How good a selection S of n rows is; of all errors, lower is better.

    Figures that were not computed are NaN, and a bound -inf.

    Attributes
    ----------
    mean_error : float
        Φ(S) = n ‖n⁻¹ Σ_S ω_i b_i‖²: how far the weighted mean of the rows chosen is from that of
        all (of a target where `select` had one), in the metric of `match_mean`.
    random_mean_error : float
        The exact expectation of Φ over uniform draws of n rows.
    effective_size : float
        (Σ ω)²/Σ ω²: n where all weights are equal.
    outliers, pool_outliers : float
        The share of rows with ‖b_i‖² above 4 times its mean, among the rows chosen and in the pool.
        Of more than 4096 rows, as many evenly spaced ones are looked at, here and for near copies.
    near_copies : float
        The share of rows chosen that have a cosine above 0.999 with another row chosen.
    v_optimality : float
        tr(Σ̃ Σ̃_S⁻¹), which is n/σ² times the variance part of the risk. Infinite where S does not
        span the numerical range of Z, as are `c_s`, `spectral` and entries of
        `random_v_optimality`.
    lower_bound : float
        A certified bound: no n rows of Z have a lower V-optimality; constraints do not count.
        settings["solver"] has the bound that counts them. -inf where it was not asked for.
    random_v_optimality : (n_random,) array
        The V-optimality of uniform draws of n rows.
    c_s : float
        The smallest c with Σ̃ ⪯ c Σ̃_S.
    spectral : float
        ‖Σ̃ Σ̃_S⁻¹‖₂.
    moment_error : float
        ‖Σ̃_S - Σ̃‖_F / ‖Σ̃‖_F.
    rank : int
        The numerical rank of Z.
    intrinsic_dim : int
        The intrinsic dimension r̄ of Z.
    n, n_samples : int
        The number of rows chosen, and of all rows.
    warnings : tuple of str
        What a user should know before a finetune.
    class_counts : ClassCounts or None
        Where there are labels that are classes: `labels` (K,), the rows of each in the `pool` (K,)
        and among the `chosen` (K,), and `ratios` (K,) of the two shares.
    mean_length, pool_mean_length : float
        The mean length of the rows chosen and of all, where lengths are known.

    Examples
    --------
    >>> import numpy as np
    >>> import skmm_fast as skmm
    >>> Z = np.random.default_rng(0).standard_normal((500, 8))
    >>> d = skmm.diagnose(Z, skmm.v_optimal(Z, 40).indices)
    >>> bool(d.lower_bound <= d.v_optimality < d.random_v_optimality.mean())
    True
    """

    mean_error: float
    random_mean_error: float
    effective_size: float
    outliers: float
    pool_outliers: float
    near_copies: float
    v_optimality: float
    lower_bound: float
    random_v_optimality: Floats
    c_s: float
    spectral: float
    moment_error: float
    rank: int
    intrinsic_dim: int
    n: int
    n_samples: int
    warnings: tuple[str, ...]
    class_counts: ClassCounts | None = None
    mean_length: float = np.nan
    pool_mean_length: float = np.nan

    @property
    def suggested_sketch_dim(self) -> int:
        """11 r̄: the m that the theorem asks for. r̄ is that of Z: where it is near m, the true one
        may be larger."""
        return 11 * self.intrinsic_dim

    @property
    def verdict(self) -> str:
        """One sentence: what to expect of the choice beside a uniform draw."""
        return verdict(self)

    def plain(self) -> dict[str, Any]:
        """The values as JSON can hold them: lists, and strings for infinite figures."""
        counts = self.class_counts
        values: dict[str, Any] = plain(
            {
                **asdict(self),
                "random_v_optimality": self.random_v_optimality.tolist(),
                "class_counts": None if counts is None else counts.plain(),
            }
        )
        return values

    @classmethod
    def from_plain(cls, values: dict[str, Any]) -> Diagnosis:
        """A diagnosis from the values that JSON gives back, where infinite figures are strings.

        Raises ValueError or TypeError for other values.
        """
        if isinstance(values, dict):
            values = {**ADDED, **values}
        require_names(values, [field.name for field in fields(cls)])
        figures: dict[str, Any] = {name: figure(name, values[name]) for name in FIGURES}
        counts = {name: checks.integer(name, values[name], least) for name, least in COUNTS.items()}
        draws, warnings = values["random_v_optimality"], values["warnings"]
        if not isinstance(draws, list):
            raise TypeError(f"random_v_optimality: expected a list, got {draws!r}")
        if not isinstance(warnings, list) or not all(isinstance(x, str) for x in warnings):
            raise TypeError(f"warnings: expected strings, got {warnings!r}")
        given = values["class_counts"]
        of_classes = None if given is None else ClassCounts.from_plain(given)
        if of_classes is not None and of_classes.chosen.sum() != counts["n"]:
            raise ValueError(f"class_counts: expected {counts['n']} rows, got {of_classes.chosen}")
        return cls(
            **{**figures, **counts},
            random_v_optimality=np.array([figure("random_v_optimality", x) for x in draws]),
            warnings=tuple(warnings),
            class_counts=of_classes,
        )

    def __str__(self) -> str:
        more = []
        if self.class_counts is not None:
            more.append(f"classes                    {self.class_counts}")
        if not np.isnan(self.mean_length):
            of_pool = f"(pool {self.pool_mean_length:.4g})"
            more.append(f"mean length                {self.mean_length:.4g} {of_pool}")
        if np.isnan(self.mean_error):
            return "\n".join([self.verdict, f"{self.n} of {self.n_samples} rows", *more])
        random = self.random_v_optimality
        lines = [
            self.verdict,
            f"{self.n} of {self.n_samples} rows, rank {self.rank}, intrinsic dimension "
            f"{self.intrinsic_dim} (suggests m >= {self.suggested_sketch_dim})",
            f"mean gradient error Φ      {self.mean_error:.4g}",
            f"  uniform draws, expected  {self.random_mean_error:.4g}",
            f"effective size             {self.effective_size:.4g}",
            f"outliers                   {self.outliers:.1%} (pool {self.pool_outliers:.1%})",
            f"near copies                {self.near_copies:.1%}",
            *more,
        ]
        if not np.isnan(self.v_optimality):
            lines.append(f"V-optimality tr(Σ̃ Σ̃_S⁻¹)   {self.v_optimality:.4g}")
        if len(random):
            spans = np.isfinite(random)
            figures = (
                f"{random[spans].mean():.4g} ± {random[spans].std():.2g}" if spans.any() else ""
            )
            missed = "" if spans.all() else f" ({(~spans).sum()} of {len(random)} do not span Z)"
            lines.append(f"  uniform draws           {figures}{missed}")
        if np.isfinite(self.lower_bound):
            lines.append(f"  certified lower bound   {self.lower_bound:.4g}")
        if not np.isnan(self.c_s):
            lines += [
                f"attained c_S               {self.c_s:.4g}",
                f"spectral norm ‖Σ̃ Σ̃_S⁻¹‖    {self.spectral:.4g}",
                f"moment error               {self.moment_error:.4g}",
            ]
        return "\n".join(lines + [f"warning: {w}" for w in self.warnings])


def diagnose(
    Z: DenseMatrix,
    indices: VectorLike,
    *,
    weights: VectorLike | None = None,
    y: VectorLike | None = None,
    lengths: VectorLike | None = None,
    n_random: int = DRAWS,
    bound: bool = True,
    seed: int = 0,
    n_threads: int | None = None,
) -> Diagnosis:
    """Compare a selection of rows of Z with uniform draws and with a certified bound.

    Parameters
    ----------
    Z : (N, m) array or tensor
        float32 or float64; a tensor on a CUDA device stays there.
    indices : row numbers
        The distinct rows that were chosen.
    weights : (n,) numbers, optional
        The weights ω of the rows chosen, positive; only their ratios count. Default: all equal.
    y : (N,) labels, optional
        Classes, whose rows are counted.
    lengths : (N,) numbers, optional
        How long the samples are, in tokens say; the diagnosis has the mean of the rows chosen.
    n_random : int, default 8
        The number of uniform draws of as many rows.
    bound : bool, default True
        Whether to compute the lower bound, which takes a few products of N m² operations.
    seed : int, default 0
        The seed of the uniform draws.
    n_threads : int, optional
        Threads of the core.

    Returns
    -------
    Diagnosis

    Raises
    ------
    TypeError, ValueError
        Z of a wrong type or shape, NaN or Inf in it, indices that are no distinct rows. The message
        names the argument, what was expected and what came.

    Notes
    -----
    SkMM, arXiv 2407.06120, equations 3 to 5.

    Examples
    --------
    >>> import numpy as np
    >>> import skmm_fast as skmm
    >>> Z = np.random.default_rng(0).standard_normal((500, 8))
    >>> skmm.diagnose(Z, np.arange(40), bound=False).rank
    8
    """
    n_random, seed = checks.integer("n_random", n_random, 0), checks.seed(seed)
    pool = Pool.of(Z, n_threads=checks.threads(n_threads))
    S = arrays.rows("indices", indices, len(pool.Z))
    if len(S) == 0:
        raise ValueError("indices: expected at least one row, got none")
    omega = arrays.weights("weights", weights, len(S))
    if weights is not None:  # of the indices as they were given
        omega = omega[np.argsort(arrays.vector("indices", indices))]
    labels = None if y is None else labels_of(y, len(pool.Z))
    long = _lengths.checked("lengths", lengths, len(pool.Z))
    least = lower_bound(pool, len(S)) if bound else -np.inf
    metric = mean_metric(pool.Z, pool.second_moment, None)
    diagnosis = diagnose_rows(pool, metric, S, omega, n_random, seed, least)
    diagnosis = replace(diagnosis, class_counts=ClassCounts.of(labels, S))
    return with_lengths(diagnosis, long, S, RowsHere(len(pool.Z)))


def with_lengths(
    diagnosis: Diagnosis, lengths: Floats | None, S: Indices, here: RowsHere
) -> Diagnosis:
    """The diagnosis of the rows S with what the lengths of the rows here say, where they are
    known."""
    if lengths is None:
        return diagnosis
    found = _lengths.of_selection(lengths, S, here)
    warned = () if found.warning is None else (found.warning,)
    return replace(
        diagnosis,
        mean_length=found.chosen,
        pool_mean_length=found.pool,
        warnings=(*diagnosis.warnings, *warned),
    )


def not_diagnosed(n: int, n_samples: int) -> Diagnosis:
    """A diagnosis without figures: they are NaN, rank and intrinsic dimension 0."""
    figures: dict[str, Any] = dict.fromkeys(FIGURES, np.nan)
    return Diagnosis(
        **{**figures, "lower_bound": -np.inf},
        random_v_optimality=np.empty(0),
        rank=0,
        intrinsic_dim=0,
        n=n,
        n_samples=n_samples,
        warnings=(),
    )


def diagnose_means(pool: Pool, metric: MeanMetric, S: Indices, weights: Floats) -> Diagnosis:
    """The diagnosis without the figures of V-optimality, which are NaN, and no draws."""
    mine, all_rows = S[:: _every(len(S))], np.arange(0, len(pool.Z), _every(len(pool.Z)))
    return Diagnosis(
        mean_error=metric.error(pool.Z, S, weights),
        random_mean_error=metric.error_of_draws(len(S)),
        effective_size=float(weights.sum() ** 2 / np.square(weights).sum()),
        outliers=_outliers(metric, pool, mine),
        pool_outliers=_outliers(metric, pool, all_rows),
        near_copies=_near_copies(pool, mine),
        v_optimality=np.nan,
        lower_bound=-np.inf,
        random_v_optimality=np.empty(0),
        c_s=np.nan,
        spectral=np.nan,
        moment_error=np.nan,
        rank=pool.moments.rank,
        intrinsic_dim=pool.moments.intrinsic_dim,
        n=len(S),
        n_samples=len(pool.Z),
        warnings=tuple(_of_norms(pool, S)),
    )


def diagnose_rows(
    pool: Pool,
    metric: MeanMetric,
    S: Indices,
    weights: Floats,
    n_random: int,
    seed: int,
    lower_bound: float,
    progress: bool = False,
) -> Diagnosis:
    """`diagnose` for checked arguments, with a certified bound that the caller has."""
    mom, n_rows, n = pool.moments, len(pool.Z), len(S)
    random = np.empty(n_random)
    with bar("uniform draws", n_random, progress, "draws") as tick:
        for i in range(n_random):
            draw = _core.draw_subset(n_rows, n, seed, 1 + i)
            random[i] = pool.trace_and_largest(draw)[0]
            if tick is not None:
                tick(i + 1)
    v_optimality, c_s = pool.trace_and_largest(S)
    unit = np.sqrt(mom.eigenvalues[0])
    sigma_S = pool.Z.gram(mom.eigenvectors / unit, S) / n  # in the eigenbasis, in units of λ_1
    sigma = mom.eigenvalues / unit**2
    means = diagnose_means(pool, metric, S, weights)
    return replace(
        means,
        v_optimality=v_optimality,
        lower_bound=lower_bound,
        random_v_optimality=random,
        c_s=c_s,
        spectral=pool.spectral(S),
        moment_error=float(np.linalg.norm(sigma_S - np.diag(sigma)) / np.linalg.norm(sigma)),
        warnings=(*_warnings(n, mom, v_optimality, random), *means.warnings),
    )


def _every(n_rows: int) -> int:
    """The distance of rows of which so many have at most LOOKED_AT."""
    return -(-n_rows // LOOKED_AT)


def _outliers(metric: MeanMetric, pool: Pool, rows: Indices) -> float:
    squares = np.square(metric.rows(pool.Z, rows)).sum(axis=1)
    return float((squares > OUTLIER * metric.square).mean())


def _near_copies(pool: Pool, rows: Indices) -> float:
    block = pool.Z.array(rows).astype(np.float64)
    norms = np.linalg.norm(block, axis=1, keepdims=True)
    block /= np.where(norms > 0, norms, 1.0)
    near = block @ block.T > COPY
    np.fill_diagonal(near, False)
    return float(near.any(axis=1).mean())


def _warnings(n: int, mom: Moments, v_optimality: float, random: Floats) -> list[str]:
    found = []
    if n < mom.rank:
        found.append(f"n = {n} < rank = {mom.rank}: directions of Z stay unseen; sketch to <= n/2")
    elif not np.isfinite(v_optimality):
        found.append(f"the rows chosen do not span Z (rank {mom.rank})")
    finite = np.isfinite(v_optimality)  # else the warning above says more
    if len(random) and n < mom.n_samples and finite and not v_optimality < random.mean():
        found.append("no better than uniform draws in V-optimality")
    return found


def _of_norms(pool: Pool, S: Indices) -> list[str]:
    here, norms = RowsHere(len(pool.Z), pool.Z.ranks), pool.squared_norms
    sums = [norms.sum(), np.square(norms).sum(), norms[here.of(S)].sum()]
    of_all, of_squares, of_chosen = here.summed(np.array(sums)).tolist()
    mean = of_all / here.n_rows
    chosen, spread = of_chosen / len(S) / mean, of_squares / here.n_rows / mean**2
    if chosen < LARGE_NORMS or spread < LARGE_NORMS:
        return []
    return [
        f"the rows chosen have {chosen:.3g} x the mean squared norm of all: where norms are those "
        "of errors (labels with a squared loss, a head that is fitted already, outliers), such "
        "rows mislead a finetune; select's unit_rows, a new head, or targets='random' with "
        "a squared loss avoid this"
    ]
