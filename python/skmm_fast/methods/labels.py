"""Labels of samples, as they are given, as numbers.

Every row has one: a label that is missing is an error, and never a class of its own.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .._support import arrays
from .._support.rows_here import RowsHere
from .._support.types import Array, Indices

NAMED = 3  # rows without a label that an error names
NUMBERS = (bool, int, float, np.bool_, np.integer, np.floating)
MOST_ON_RANKS = 1 << 16  # distinct labels that ranks exchange
MANY = 20  # classes of numbers, from which on it is asked whether they are those of a regression
LOOKED_AT = 1000  # strings that are looked at: are they numbers?


@dataclass(frozen=True)
class Labels:
    """(N,) labels as numbers: that of row i is values[number[i]]."""

    values: Array  # distinct, ascending
    number: npt.NDArray[np.int32]  # (N,)

    @property
    def are_classes(self) -> bool:
        """Whether they are classes: not numbers of a regression, some of which have a fraction."""
        return self.values.dtype.kind != "f" or bool((self.values % 1 == 0).all())

    def warn_of_numbers(self) -> None:
        """Warn where classes look like whole numbers of a regression: fewer than four rows each."""
        K, N = len(self.values), len(self.number)
        if self.values.dtype.kind in "iuf" and K > MANY and 4 * K > N:
            warnings.warn(
                f"y: {K} distinct whole numbers of {N} rows are taken for classes; to have them "
                "taken for the numbers of a regression, scale them (y / y.std()), so that some "
                "have a fraction",
                stacklevel=5,
            )

    def of_others(self, name: str, y: Any, n_rows: int) -> Labels:
        """The labels y (n_rows,) of other rows as numbers of the same kind: of the same classes, or
        of any numbers where these are those of a regression. Raises TypeError or ValueError naming
        the argument."""
        given = labels_of(y, n_rows, name)
        if not self.are_classes:
            if given.values.dtype.kind not in "fiu":
                raise TypeError(f"{name}: expected numbers, as y has, got {given.values.dtype}")
            values, number = np.unique(np.append(self.values, given.values), return_inverse=True)
            return Labels(values, number[len(self.values) :][given.number].astype(np.int32))
        number_of = {value: i for i, value in enumerate(self.values.tolist())}
        for value in given.values.tolist():
            if value not in number_of:
                raise ValueError(f"{name}: expected classes that occur in y, got {value!r}")
        numbers = np.array([number_of[value] for value in given.values.tolist()], np.int32)
        return Labels(self.values, numbers[given.number])


def labels_of(y: Any, n_rows: int, name: str = "y") -> Labels:
    """(N,) y as numbers. Raises TypeError or ValueError for labels that are missing, are not
    N, cannot be sorted, or are numbers written as strings, complex or structured."""
    array = vector(y, name)
    if len(array) != n_rows:
        raise ValueError(f"{name}: expected shape ({n_rows},), got {array.shape}")
    require_labels(array, without_label(y, array), name)
    array = _of_one_kind(array, name)
    if array.dtype.kind in "iu":
        least = array.min()
        if int(array.max()) - int(least) < max(len(array), 1 << 16):  # counted, not sorted
            wide = np.uint64 if array.dtype.kind == "u" else np.int64
            shifted = np.subtract(array, least, dtype=wide).astype(np.int64)
            seen = np.bincount(shifted) > 0
            numbers = (np.cumsum(seen) - 1).astype(np.int32)
            return Labels(np.flatnonzero(seen).astype(array.dtype) + least, numbers[shifted])
    try:
        values, number = np.unique(array, return_inverse=True)
    except TypeError:
        said = f"{name}: expected labels that can be sorted, got a mixture of types"
        raise TypeError(said) from None
    return Labels(values, number.astype(np.int32))


def labels_on_ranks(y: Any, here: RowsHere) -> Labels:
    """`labels_of` y (N,) for the rows here, as numbers of the labels of all ranks."""
    if here.ranks is None:
        return labels_of(y, here.n_rows)
    given = y if isinstance(y, (np.ndarray, list, tuple)) else vector(y)
    if len(given) != here.n_rows:
        raise ValueError(f"y: expected shape ({here.n_rows},), got ({len(given)},)")
    mine = given[here.first : here.last]
    found = labels_of(mine, here.count, f"y[{here.first}:{here.last}]") if len(mine) else None
    if found is not None and len(found.values) > MOST_ON_RANKS:
        raise ValueError(
            f"y: expected at most {MOST_ON_RANKS} classes where rows are on several ranks, got "
            f"{len(found.values)} distinct labels in the rows of one"
        )
    each = [x for x in here.ranks.objects(None if found is None else found.values) if x is not None]
    if len({x.dtype.kind in "biuf" for x in each}) > 1:
        raise TypeError("y: expected labels that can be sorted, got a mixture of types")
    values = np.unique(np.concatenate(each))
    if found is None:
        return Labels(values, np.empty(0, np.int32))
    number = np.searchsorted(values, found.values).astype(np.int32)
    return Labels(values, number[found.number])


def _of_one_kind(array: Array, name: str) -> Array:
    """The labels, objects that are all numbers as numbers. Raises TypeError or ValueError for those
    that would be taken for classes by mistake."""
    if array.dtype == object and all(isinstance(label, NUMBERS) for label in array):
        array = np.array(array.tolist())
    if array.dtype.kind in "cV":
        raise TypeError(f"{name}: expected classes or real numbers, got {array.dtype}")
    strings = array.dtype.kind in "US" or (array.dtype == object and isinstance(array[0], str))
    fraction = _fraction_among(array[:LOOKED_AT].tolist()) if strings else None
    if fraction is not None:
        raise ValueError(
            f"{name}: expected classes or numbers, got strings of numbers, as {fraction!r}; "
            f"np.asarray({name}, float) makes numbers of them, and names that are none make classes"
        )
    return array


def _fraction_among(strings: list[Any]) -> Any:
    """The first of these strings that is a number with a fraction, where all are numbers."""
    try:
        numbers = [float(string) for string in strings]
    except (TypeError, ValueError):
        return None
    of_fractions = (
        s for s, x in zip(strings, numbers, strict=True) if x % 1 != 0 and abs(x) < np.inf
    )
    return next(of_fractions, None)


def vector(y: Any, name: str = "y") -> Array:
    """y as a 1-d array; what a masked array hides is in it."""
    return arrays.vector(name, y.data if isinstance(y, np.ma.MaskedArray) else y)


def without_label(y: Any, array: Array) -> Indices:
    """The rows whose label is missing: None, NaN, NaT, the null of a data frame or an Arrow array,
    or masked; of floats also those that are infinite. `array` is `vector(y)`."""
    missing = np.zeros(len(array), np.bool_)
    if array.dtype.kind in "fc":
        missing = ~np.isfinite(array)
    elif array.dtype.kind in "mM":
        missing = np.isnat(array)
    elif array.dtype == object:
        missing = _each_missing(array)
    elif array.dtype.kind in "US" and isinstance(y, (list, tuple)):
        missing = _each_missing(y)  # NumPy has made the string "nan" of a NaN among strings
    if isinstance(y, np.ma.MaskedArray):
        missing = missing | np.ma.getmaskarray(y)
    return np.flatnonzero(missing)


def require_labels(array: Array, missing: Indices, name: str = "y") -> None:
    """Raises ValueError where these rows lack a label."""
    if len(missing):
        what = "NaN or Inf" if array.dtype.kind == "f" else "missing ones (None, NaN or the like)"
        named = ", ".join(map(str, missing[:NAMED])) + ", ..." * (len(missing) > NAMED)
        raise ValueError(
            f"{name}: expected labels, got {what} in {len(missing)} of {len(array)} rows, first in "
            f"row {named}; exclude these rows, or give them a class of their own"
        )


def _each_missing(labels: Any) -> npt.NDArray[np.bool_]:
    return np.fromiter(map(_is_missing, labels), np.bool_, len(labels))


def _is_missing(label: Any) -> bool:
    """Whether a label is None, or does not equal itself, or (as the NA of pandas) cannot say so."""
    if label is None:
        return True
    try:
        equal = label == label
        return not equal
    except (TypeError, ArithmeticError):
        return True
    except ValueError:  # an array, which is no label: sorting says so
        return False
