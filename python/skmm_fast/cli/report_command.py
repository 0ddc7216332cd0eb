"""`skmm-fast report`: a page about a selection."""

from __future__ import annotations

from pathlib import Path

from .._selection import Selection
from . import tables
from .options import argument, needed, option


def report(
    selection: Path = argument("A saved selection: .npz (with its picture) or .json.", "SELECTION"),
    out: Path = needed("--out", "-o", help="Where the page goes: .html."),
    data: Path = option(
        "--data", help="The samples: .jsonl, .parquet, .csv or .arrow; examples are shown."
    ),
    examples: int = option("--examples", min=1, default=10, help="How many examples."),
) -> None:
    """Write one HTML page that needs no other file: the verdict, figures beside uniform draws,
    classes before and after, pictures, and examples.

    \b
    skmm-fast report chosen.npz --data texts.jsonl --out report.html
    """
    loaded = Selection.load(selection)
    few = examples or 10
    samples = None
    if data is not None:
        N, found = loaded.settings["n_samples"], tables.n_rows(data)
        if found != N:
            raise ValueError(f"data: expected {N} samples, got {found} in {data}")
        step = max(1, len(loaded) // few)
        rows = loaded.indices[::step][:few]
        samples = list(zip(rows.tolist(), tables.taken(data, rows).to_pylist(), strict=True))
    print(f"written: {loaded.report(out, samples)}")
