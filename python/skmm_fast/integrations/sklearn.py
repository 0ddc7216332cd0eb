"""scikit-learn: a selector of samples, and sketches as transformers.

They follow scikit-learn's conventions and pass its `check_estimator`: `random_state` and `n_jobs`
are meant in its sense, X is what its estimators take, and names of features go in and out. Data are
validated by scikit-learn, which copies what is not C-contiguous or has integers.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from .._select import select
from .._support import checks
from .._support.optional import need
from .._support.types import Array, Indices
from ..sketch.operators import KINDS, Kind, make

_base: Any = need("sklearn.base", "sklearn")
_utils: Any = need("sklearn.utils", "sklearn")
_validation: Any = need("sklearn.utils.validation", "sklearn")
_joblib: Any = need("joblib", "sklearn")

FLOATS = [np.float64, np.float32]


class SkMMSelector(_base.BaseEstimator):  # type: ignore[misc]
    """Chooses samples to train on: `skmm_fast.select` as an estimator.

    In a pipeline of imbalanced-learn it is a step that resamples: the steps after it are fitted on
    the samples chosen, and predict for all.

    Parameters
    ----------
    n_to_select : int or float, default 0.1
        A count, or a share of the samples in (0, 1).
    method : str or callable, default "auto"
        As `method` of `skmm_fast.select`; so are the next four.
    sketch_dim : int, optional
    unit_rows : bool, default False
    per_class : {"proportional", "sqrt", "balanced"}, number or mapping, optional
    pilot : "linear" or callable, optional
    method_options : dict, optional
        Options of the method.
    random_state : int, RandomState instance or None, default None
        An int for the same choice each time, which is that of `skmm_fast.select` with this seed.
    n_jobs : int, optional
        Threads: None for one, -1 for all.

    Attributes
    ----------
    selected_idx_ : (n,) array of int64
        The samples chosen, ascending and distinct.
    weights_ : (n,) array
        Their importance weights, of mean 1.
    selection_ : Selection
        With the diagnosis and its verdict.
    n_features_in_ : int
    feature_names_in_ : (n_features_in,) array
        Where the names of the features are strings.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skmm_fast.integrations.sklearn import SkMMSelector
    >>> X, y = load_digits(return_X_y=True)
    >>> selector = SkMMSelector(100, random_state=0)
    >>> X_chosen, y_chosen = selector.fit_resample(X, y)
    >>> X_chosen.shape, y_chosen.shape
    ((100, 64), (100,))
    """

    selected_idx_: Indices

    def __init__(
        self,
        n_to_select: int | float = 0.1,
        *,
        method: Any = "auto",
        sketch_dim: int | None = None,
        unit_rows: bool = False,
        per_class: Any = None,
        pilot: Any = None,
        method_options: dict[str, Any] | None = None,
        random_state: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.n_to_select = n_to_select
        self.method = method
        self.sketch_dim = sketch_dim
        self.unit_rows = unit_rows
        self.per_class = per_class
        self.pilot = pilot
        self.method_options = method_options
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any = None) -> SkMMSelector:
        """Choose samples of X.

        Parameters
        ----------
        X : (n_samples, n_features) array, sparse matrix or frame
            Gradients, features or embeddings.
        y : (n_samples,) labels, optional
            Classes, or the numbers of a regression.

        Returns
        -------
        SkMMSelector
            Itself.

        Raises
        ------
        TypeError, ValueError
            As `skmm_fast.select`.
        """
        A = _validated(self, X, reset=True)
        labels = None if y is None else _validation.column_or_1d(y, warn=True)
        _validation.check_consistent_length(A, labels)
        self.selection_ = select(
            A,
            self.n_to_select,
            method=self.method,
            sketch_dim=self.sketch_dim,
            unit_rows=self.unit_rows,
            y=labels,
            per_class=self.per_class,
            pilot=self.pilot,
            seed=_seed(self.random_state),
            n_threads=_joblib.effective_n_jobs(self.n_jobs),
            **(self.method_options or {}),
        )
        self.selected_idx_, self.weights_ = self.selection_.indices, self.selection_.weights
        return self

    def fit_resample(self, X: Any, y: Any = None) -> Any:
        """Choose samples of X, and return them.

        Parameters
        ----------
        X : (n_samples, n_features) array, sparse matrix or frame
        y : (n_samples,) labels, optional

        Returns
        -------
        X_chosen, or (X_chosen, y_chosen) where there is y
            Of the type that was given.

        Raises
        ------
        TypeError, ValueError
            As `skmm_fast.select`.
        """
        self.fit(X, y)
        chosen = _utils._safe_indexing(X, self.selected_idx_)
        return chosen if y is None else (chosen, _utils._safe_indexing(y, self.selected_idx_))

    def _more_tags(self) -> dict[str, Any]:  # before scikit-learn 1.6
        return {"X_types": ["2darray", "sparse"]}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


class _Projection(
    _base.ClassNamePrefixFeaturesOutMixin,  # type: ignore[misc]
    _base.TransformerMixin,  # type: ignore[misc]
    _base.BaseEstimator,  # type: ignore[misc]
):
    """What the transformers share. Γ is made when a transformer is fitted, of random_state and the
    number of features alone."""

    kind: ClassVar[Kind]

    def __init__(
        self, n_components: int = 512, *, random_state: Any = None, n_jobs: int | None = None
    ) -> None:
        self.n_components = n_components
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any = None) -> _Projection:
        """Make Γ for the features of X.

        Parameters
        ----------
        X : (n_samples, n_features) array, sparse matrix or frame
            Only its width counts.
        y : ignored

        Returns
        -------
        transformer
            Itself.

        Raises
        ------
        TypeError, ValueError
            n_components of a wrong type or value, or X that scikit-learn refuses.
        """
        _validated(self, X, reset=True)
        width = checks.integer("n_components", self.n_components, 1)
        self.n_components_ = min(width, self.n_features_in_)
        seed = _seed(self.random_state)
        least, self.sketch_ = KINDS[self.kind].least_out_dim, None
        if width < self.n_features_in_:
            r, m = max(self.n_features_in_, least), max(width, least)
            self.sketch_ = make(self.kind, r, m, seed=seed)
        return self

    def transform(self, X: Any) -> Array:
        """Sketch rows: Z = XΓ.

        Parameters
        ----------
        X : (n_samples, n_features) array, sparse matrix or frame

        Returns
        -------
        (n_samples, n_components_) array
            Of float32 where X has it, else of float64; a frame where `set_output` says so. X itself
            as an array where there are no more features than components.

        Raises
        ------
        ValueError
            X of another width, or with NaN or Inf.
        """
        _validation.check_is_fitted(self)
        A = _validated(self, X, reset=False)
        if self.sketch_ is None:
            rows: Array = A.toarray() if hasattr(A, "toarray") else A
            return rows
        out: Array = np.zeros((A.shape[0], self.sketch_.out_dim), A.dtype)
        threads = _joblib.effective_n_jobs(self.n_jobs)
        self.sketch_.apply(A, out=out, accumulate=True, n_threads=threads)  # r may be larger here
        few, m = self.n_components_, self.sketch_.out_dim
        if few < m:
            out = np.ascontiguousarray(out[:, :few] * out.dtype.type((m / few) ** 0.5))
        return out

    @property
    def _n_features_out(self) -> int:
        return int(self.n_components_)

    def _more_tags(self) -> dict[str, Any]:  # before scikit-learn 1.6
        return {"X_types": ["2darray", "sparse"], "preserves_dtype": FLOATS}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


class SparseSignProjection(_Projection):
    """Sketches of features by sparse signs: `skmm_fast.SparseSign` as a transformer.

    Inner products of rows are kept up to about √(2/n_components) of the product of their norms,
    without bias. With no more features than components rows stay as they are.

    Parameters
    ----------
    n_components : int, default 512
        m, the width of the sketch.
    random_state : int, RandomState instance or None, default None
        An int for the same Γ each time, that of `skmm_fast.SparseSign` with this seed.
    n_jobs : int, optional
        Threads: None for one, -1 for all. The result does not depend on it.

    Attributes
    ----------
    sketch_ : skmm_fast.Sketch or None
        Γ; None where there are no more features than components.
    n_components_ : int
        The width of what `transform` returns.
    n_features_in_ : int
    feature_names_in_ : (n_features_in,) array
        Where the names of the features are strings.

    Examples
    --------
    >>> import numpy as np
    >>> from skmm_fast.integrations.sklearn import SparseSignProjection
    >>> X = np.random.default_rng(0).standard_normal((5, 1000))
    >>> SparseSignProjection(64, random_state=0).fit_transform(X).shape
    (5, 64)
    """

    kind = "sparse-sign"


class GroupedSignProjection(_Projection):
    """Sketches of features by grouped signs, faster on dense rows: `skmm_fast.GroupedSign`.

    Parameters and attributes are those of `SparseSignProjection`. Fewer than 8 components are the
    first columns of a sketch of 8, scaled so that inner products have no bias.

    Examples
    --------
    >>> import numpy as np
    >>> from skmm_fast.integrations.sklearn import GroupedSignProjection
    >>> X = np.random.default_rng(0).standard_normal((5, 1000))
    >>> GroupedSignProjection(64, random_state=0).fit_transform(X).shape
    (5, 64)
    """

    kind = "grouped-sign"


class GaussianSketch(_Projection):
    """Sketches of features by Gaussian numbers: `skmm_fast.Gaussian` as a transformer.

    Parameters and attributes are those of `SparseSignProjection`. Γ is never stored, so that the
    number of features has no limit.

    Examples
    --------
    >>> import numpy as np
    >>> from skmm_fast.integrations.sklearn import GaussianSketch
    >>> X = np.random.default_rng(0).standard_normal((5, 1000))
    >>> GaussianSketch(64, random_state=0).fit_transform(X).shape
    (5, 64)
    """

    kind = "gaussian"


def _seed(random_state: Any) -> int:
    """A seed: an int as it is, else drawn from the state, as scikit-learn does it."""
    if isinstance(random_state, (int, np.integer)) and not isinstance(random_state, bool):
        return checks.integer("random_state", random_state, 0, 2**64 - 1)
    return int(_utils.check_random_state(random_state).randint(np.iinfo(np.int32).max))


def _validated(estimator: Any, X: Any, reset: bool) -> Any:
    """X as a C-contiguous array or a CSR matrix of floats; with `reset` its width and names of
    features are noted, else they are compared."""
    how = {"reset": reset, "accept_sparse": "csr", "dtype": FLOATS, "order": "C"}
    if hasattr(_validation, "validate_data"):  # from scikit-learn 1.6 on
        return _validation.validate_data(estimator, X, **how)
    return estimator._validate_data(X, **how)
