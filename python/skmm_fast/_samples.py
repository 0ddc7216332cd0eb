"""The chosen samples of a data set: of frames, tables, lists and files, as what they are or as JSON
Lines."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ._support.files import open_regular, write_whole
from ._support.optional import need
from ._support.types import Indices


def subset(dataset: Any, indices: Indices, n_samples: int) -> Any:
    """The samples of these numbers, as `Selection.subset` says."""
    if isinstance(dataset, Mapping):
        raise TypeError(
            f"dataset: expected samples by row number, got {type(dataset).__name__}; subset "
            "each of its columns or splits"
        )
    shaped = hasattr(dataset, "shape")
    _require_length(dataset.shape[0] if shaped else len(dataset), n_samples)
    if type(dataset).__module__.partition(".")[0] == "pyarrow":  # whose `select` is of columns
        return dataset.take(indices)
    if hasattr(dataset, "column_names") and hasattr(dataset, "select"):  # Hugging Face
        return dataset.select(indices)
    if hasattr(dataset, "iloc"):
        return dataset.iloc[indices]
    if shaped:
        return dataset[indices]
    if isinstance(dataset, (list, tuple)):
        return [dataset[i] for i in indices]
    return need("torch.utils.data", "torch").Subset(dataset, indices.tolist())


def write_jsonl(path: Path, dataset: Any, indices: Indices, n_samples: int) -> None:
    """Write the samples of these numbers, a line for each, as `Selection.to_jsonl` says."""
    if isinstance(dataset, (str, os.PathLike)):
        lines = chosen_lines(Path(dataset), indices, n_samples)
    else:
        lines = _as_lines(subset(dataset, indices, n_samples), indices)
    write_whole(path, lambda file: file.writelines(lines))


def chosen_lines(source: Path, indices: Indices, n_samples: int) -> Iterator[bytes]:
    """The lines of a file that have these numbers, byte for byte; empty lines are no samples."""
    wanted, number = set(indices.tolist()), 0
    with open_regular(source) as file:
        for line in file:
            if not line.strip():
                continue
            if number in wanted:
                yield line if line.endswith(b"\n") else line + b"\n"
            number += 1
    _require_length(number, n_samples)


def _require_length(length: int, n_samples: int) -> None:
    if length != n_samples:
        raise ValueError(f"dataset: expected {n_samples} samples, got {length}")


def _as_lines(samples: Any, indices: Indices) -> Iterator[bytes]:
    for number, sample in zip(indices.tolist(), _records(samples), strict=True):
        try:
            yield _encoded(_json_value(sample)) + b"\n"
        except TypeError as error:
            raise TypeError(
                f"dataset: expected samples that JSON can hold, got {error} in sample {number}; "
                "keep the columns that it can"
            ) from None


def _encoded(value: Any) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which UTF-8 does not have
        return json.dumps(value).encode()


def _records(samples: Any) -> Any:
    """The samples one by one: those of frames and tables as dicts of their columns."""
    library = type(samples).__module__.partition(".")[0]
    if library == "pyarrow":
        return samples.to_pylist()
    if library == "polars" and hasattr(samples, "iter_rows"):
        return samples.iter_rows(named=True)
    if library == "pandas" and hasattr(samples, "columns"):
        return samples.to_dict("records")
    return samples


def _json_value(sample: Any) -> Any:
    """The sample with arrays and tensors as lists, NaN as null and dates as text. Raises TypeError
    naming a type or a number that JSON does not have."""
    if isinstance(sample, Mapping):
        return {str(name): _json_value(value) for name, value in sample.items()}
    if isinstance(sample, (list, tuple)):
        return [_json_value(value) for value in sample]
    if hasattr(sample, "tolist"):  # of NumPy and torch
        return _json_value(sample.tolist())
    if isinstance(sample, float) and not math.isfinite(sample):
        if math.isnan(sample):  # a missing value
            return None
        raise TypeError(f"{sample}")
    if hasattr(sample, "isoformat"):  # dates and times
        return None if sample != sample else sample.isoformat()  # pandas has times that are none
    if sample is None or isinstance(sample, (str, int, float)):
        return sample
    raise TypeError(type(sample).__name__)
