"""What a selection is: its rows, how good they are, how found; on disk and as a picture."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

import numpy as np

from . import _report, _samples, _selection_file, _selection_view
from ._diagnose import Diagnosis
from ._plot import plot_selection
from ._selection_file import Saved
from ._support.files import write_whole
from ._support.types import Array, Floats, Indices
from .pool.pool import Pool

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch.utils.data import Subset

PICTURE_ROWS = 5000  # rows of the pool that are kept for the picture, at most


class _HasRows(Protocol):
    """An array, a matrix or a frame; or what chooses its rows itself."""

    @property
    def shape(self) -> Any: ...


T = TypeVar("T")
Rows = TypeVar("Rows", bound=_HasRows)


@dataclass(frozen=True, eq=False)
class Selection:
    """n rows, how good they are, and how they were found.

    Attributes
    ----------
    indices : (n,) array of int64
        The rows chosen, ascending and distinct.
    diagnosis : Diagnosis
        How good they are.
    settings : dict
        The arguments of `select`, as JSON can hold them, and under "solver" what the method says of
        its work.
    weights : (n,) array
        Importance weights ω of the rows chosen, of mean 1, none negative: where classes were
        counted, weighted by them the selection has each class in the share that it has of the
        pool; those of "grad-match" are its own. All are 1 where nothing asks for others.
    picture : dict of arrays
        What `plot` shows: "pool" and "selected", points along the two leading eigenvectors, and
        "eigenvalues".

    Examples
    --------
    >>> import numpy as np
    >>> import skmm_fast as skmm
    >>> selection = skmm.select(np.random.default_rng(0).standard_normal((200, 8)), 20)
    >>> len(selection.indices), selection.settings["method"]
    (20, 'auto')
    """

    indices: Indices
    diagnosis: Diagnosis
    settings: dict[str, Any]
    picture: dict[str, Array]
    weights: Floats

    def __len__(self) -> int:
        """n."""
        return len(self.indices)

    def __iter__(self) -> Iterator[int]:
        """The row numbers."""
        return iter(self.indices.tolist())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """The row numbers: `np.asarray(selection)`, and `X[selection]` of an array. A copy, so that
        what is done to it does not change the selection."""
        if copy is False:
            raise ValueError("copy: expected None or True, got False; .indices is the array itself")
        return np.array(self.indices, dtype=dtype)

    def __repr__(self) -> str:
        return _selection_view.text(self.settings, self.diagnosis)

    def _repr_html_(self) -> str:
        return _selection_view.as_html(self.settings, self.diagnosis)

    @overload
    def subset(self, dataset: Rows) -> Rows: ...  # type: ignore[overload-overlap]
    @overload
    def subset(  # type: ignore[overload-overlap]
        self, dataset: list[T] | tuple[T, ...]
    ) -> list[T]: ...
    @overload
    def subset(self, dataset: object) -> Subset[Any]: ...
    def subset(self, dataset: Any) -> object:
        """The chosen samples of the data set that was selected from.

        Parameters
        ----------
        dataset : array, sparse matrix, DataFrame, Arrow table, list, tuple or map-style dataset
            As many samples as were selected from, in their order.

        Returns
        -------
        What `dataset` is
            An array, matrix, frame, Arrow table or Hugging Face dataset of the chosen rows; of a
            list or tuple, a list; of any other map-style data set, a torch `Subset`.

        Raises
        ------
        TypeError
            A dict or another mapping, whose columns cannot be told from samples.
        ValueError
            len(dataset) is not the N that was selected from.

        Examples
        --------
        >>> import numpy as np
        >>> import skmm_fast as skmm
        >>> selection = skmm.select(np.eye(6), 3, method="uniform")
        >>> selection.subset(list("abcdef")) == [list("abcdef")[i] for i in selection.indices]
        True
        """
        return _samples.subset(dataset, self.indices, self.settings["n_samples"])

    def to_jsonl(self, path: str | os.PathLike[str], dataset: Any) -> Path:
        """Write the chosen samples as JSON Lines, one JSON value a line.

        Parameters
        ----------
        path : path
            Where they are written. The file exists whole or not.
        dataset : path, or a data set as for `subset`
            The data set that was selected from. Of a file, its lines as they are; empty lines are
            no samples. Samples of frames, tables and Hugging Face data sets become objects.

        Returns
        -------
        Path
            The path written.

        Raises
        ------
        TypeError
            A sample that JSON cannot hold; its number and the type are named.
        ValueError
            The data set does not have the N samples that were selected from.
        OSError
            A file that cannot be read or written; it is named.

        Examples
        --------
        >>> import tempfile
        >>> import numpy as np
        >>> import skmm_fast as skmm
        >>> selection = skmm.select(np.eye(6), 3, method="uniform")
        >>> samples = [{"text": f"text {i}"} for i in range(6)]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     written = selection.to_jsonl(folder + "/chosen.jsonl", samples)
        ...     first = written.read_text().splitlines()[0]
        >>> first == f'{{"text": "text {selection.indices[0]}"}}'
        True
        """
        path = Path(path)
        _samples.write_jsonl(path, dataset, self.indices, self.settings["n_samples"])
        return path

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the selection to a file.

        Parameters
        ----------
        path : path
            A name ending in .npz for all of it; in .json for all but the picture; in .npy for the
            row numbers; or in .csv for row numbers and weights. ".npz" is added to a name without
            an ending.

        Returns
        -------
        Path
            The path written. The file is written under a temporary name, synced and renamed: it
            exists whole or not.

        Raises
        ------
        ValueError
            A name with another ending.
        OSError
            The file cannot be written; the path is named.

        Examples
        --------
        >>> import tempfile
        >>> import numpy as np
        >>> import skmm_fast as skmm
        >>> selection = skmm.select(np.eye(6), 3, method="uniform")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     written = selection.save(folder + "/chosen")
        ...     loaded = skmm.Selection.load(written)
        >>> written.name, loaded.indices.tolist() == selection.indices.tolist()
        ('chosen.npz', True)
        """
        path = _with_suffix(path)
        arrays = {"indices": self.indices, "weights": self.weights, **self.picture}
        _selection_file.write(path, Saved(self.settings, self.diagnosis, arrays))
        return path

    def to_json(self) -> str:
        """What `save` writes to a .json.

        Examples
        --------
        >>> import json
        >>> import numpy as np
        >>> import skmm_fast as skmm
        >>> selection = skmm.select(np.eye(6), 3, method="uniform")
        >>> json.loads(selection.to_json())["indices"] == selection.indices.tolist()
        True
        """
        arrays = {"indices": self.indices, "weights": self.weights}
        return _selection_file.as_json(Saved(self.settings, self.diagnosis, arrays))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Selection:
        """Read what `save` wrote.

        Parameters
        ----------
        path : path
            The path that was given to `save`, of a .npz or .json.

        Returns
        -------
        Selection

        Raises
        ------
        ValueError
            Another file, one that is damaged, or another format version; the message names the
            file, says what was expected, and what to do.
        OSError
            The file cannot be opened; it is named.

        Examples
        --------
        >>> import tempfile
        >>> import numpy as np
        >>> import skmm_fast as skmm
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = skmm.select(np.eye(6), 3, method="uniform").save(folder + "/chosen.json")
        ...     len(skmm.Selection.load(folder + "/chosen.json").indices)
        3
        """
        saved = _selection_file.read(_with_suffix(path))
        arrays = saved.arrays
        return cls(
            indices=arrays.pop("indices"),
            weights=arrays.pop("weights"),
            diagnosis=saved.diagnosis,
            settings=saved.settings,
            picture=arrays,
        )

    def report(
        self,
        path: str | os.PathLike[str],
        samples: Sequence[tuple[int, Any]] | None = None,
    ) -> Path:
        """Write one HTML page about the selection, which needs no other file.

        It has the verdict, figures beside uniform draws, classes before and after, pictures where
        there are any (needs matplotlib), and examples.

        Parameters
        ----------
        path : path
            Where the page goes.
        samples : list of (row number, sample), optional
            Examples to show: texts, or dicts of columns.

        Returns
        -------
        Path
            The path written. The file exists whole or not.

        Raises
        ------
        ImportError
            The selection has a picture and matplotlib is not installed; the message names the extra
            that brings it.
        OSError
            The file cannot be written; it is named.

        Examples
        --------
        >>> import tempfile
        >>> import numpy as np
        >>> import skmm_fast as skmm
        >>> selection = skmm.select(np.eye(6), 3, method="uniform", diagnose="none")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     page = selection.report(folder + "/report.html", [(0, "a text")]).read_text()
        >>> page.startswith("<!DOCTYPE html>")
        True
        """
        path = Path(path)
        picture = self.picture if len(self.picture["pool"]) else None
        page = _report.page(self.settings, self.diagnosis, picture, samples or ())
        write_whole(path, lambda file: file.write(page.encode("utf-8", "replace")))
        return path

    def plot(self, path: str | os.PathLike[str] | None = None) -> Figure:
        """Draw pool and selection, the spectrum, and the errors beside those of uniform draws.

        Pool and selection are drawn in two dimensions, the spectrum with the intrinsic dimension,
        V-optimality with the certified bound.

        Parameters
        ----------
        path : path, optional
            Where the picture is written.

        Returns
        -------
        matplotlib Figure

        Raises
        ------
        ImportError
            matplotlib is not installed; the message names the extra that brings it.
        ValueError
            The selection was made with diagnose="none", or comes from a .json.

        Examples
        --------
        >>> import numpy as np
        >>> import skmm_fast as skmm
        >>> figure = skmm.select(np.eye(6), 3, method="uniform").plot()
        >>> len(figure.axes)
        3
        """
        if len(self.picture["pool"]) == 0:
            raise ValueError(
                "plot: expected a selection with a picture; none is made with diagnose='none', and "
                "a .json does not keep it: save to .npz"
            )
        title = str(self.settings["method"])
        return plot_selection(self.picture, self.diagnosis, title, path)


def _with_suffix(path: str | os.PathLike[str]) -> Path:
    path = Path(path)
    return path if path.suffix else path.with_name(path.name + ".npz")


def no_picture() -> dict[str, Array]:
    """A picture of nothing, which `plot` refuses."""
    points = np.empty((0, 2))
    return {"pool": points, "selected": points, "eigenvalues": np.empty(0)}


def picture_of(pool: Pool, indices: Indices) -> dict[str, Array]:
    """What the plot needs: pool (at most PICTURE_ROWS rows, evenly taken) and selection along the
    two leading eigenvectors, and the spectrum."""
    plane = pool.moments.eigenvectors[:, :2]
    return {
        "pool": pool.Z.array(slice(None, None, -(-len(pool.Z) // PICTURE_ROWS))) @ plane,
        "selected": pool.Z.array(indices) @ plane,
        "eigenvalues": pool.moments.eigenvalues,
    }
