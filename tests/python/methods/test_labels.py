"""A label that is missing is an error that names y and its rows, whatever stands for it."""

import decimal

import numpy as np
import pytest

import skmm_fast as skmm
from skmm_fast.methods.labels import labels_of

N, n = 60, 12
X = np.random.default_rng(0).standard_normal((N, 4))
TRUE = np.random.default_rng(1).integers(0, 3, N)
MISSING = (7, 20, 33, 50)


def with_missing(value, names=None):
    """Labels as a list, in which four are missing. Classes are called by their names."""
    labels = [int(c) if names is None else names[c] for c in TRUE]
    for i in MISSING:
        labels[i] = value
    return labels


def of_objects(labels):
    array = np.empty(len(labels), object)
    array[:] = labels
    return array


LETTERS = "abc"
KINDS = {
    "None among ints": lambda: of_objects(with_missing(None)),
    "None among strings": lambda: of_objects(with_missing(None, LETTERS)),
    "a list with None": lambda: with_missing(None),
    "a list of strings with None": lambda: with_missing(None, LETTERS),
    "NaN among objects": lambda: of_objects(with_missing(float("nan"))),
    "NaN among strings": lambda: of_objects(with_missing(np.nan, LETTERS)),
    "a list of strings with NaN": lambda: with_missing(np.nan, LETTERS),  # NumPy: the string "nan"
    "a tuple of bytes with NaN": lambda: tuple(with_missing(np.nan, [b"a", b"b", b"c"])),
    "NaN among floats": lambda: np.array(with_missing(np.nan)),
    "Inf among floats": lambda: np.array(with_missing(np.inf)),
    "NaN among float16": lambda: np.array(with_missing(np.nan), np.float16),
    "NaN among complex numbers": lambda: np.array(with_missing(np.nan), complex),
    "a decimal NaN": lambda: of_objects(with_missing(decimal.Decimal("NaN"))),
    "masked entries among objects": lambda: of_objects(with_missing(np.ma.masked)),
    "a signalling NaN": lambda: of_objects(with_missing(decimal.Decimal("sNaN"))),
    "NaT among days": lambda: np.array(with_missing("NaT", ["2020-01-01"] * 3), "datetime64[D]"),
    "NaT among spans": lambda: np.array(with_missing("NaT"), "timedelta64[s]"),
    "a masked array": lambda: np.ma.array(TRUE, mask=np.isin(np.arange(N), MISSING)),
    "a masked array of strings": lambda: np.ma.array(
        np.array([LETTERS[c] for c in TRUE]), mask=np.isin(np.arange(N), MISSING)
    ),
}


def of_pandas(dtype, value, names=None):
    def made():
        pd = pytest.importorskip("pandas")
        given = getattr(pd, value) if isinstance(value, str) else value
        return pd.Series(with_missing(given, names), dtype=dtype)

    return made


KINDS |= {
    "pandas Int64": of_pandas("Int64", "NA"),
    "pandas objects": of_pandas("object", "NA"),
    "pandas string": of_pandas("string", "NA", LETTERS),
    "pandas str": of_pandas(None, None, LETTERS),
    "pandas category": of_pandas("category", None, LETTERS),
    "pandas category of numbers": of_pandas("category", None),
    "pandas boolean": of_pandas("boolean", "NA", [True, False, True]),
    "pandas Float64": of_pandas("Float64", "NA"),
    "pandas times": of_pandas("datetime64[ns]", "NaT", ["2020-01-01"] * 3),
    "pandas times of a zone": of_pandas("datetime64[ns, UTC]", "NaT", ["2020-01-01"] * 3),
}


def of_arrow(names=None, dictionary=False, chunked=False):
    def made():
        pa = pytest.importorskip("pyarrow")
        array = pa.array(with_missing(None, names))
        array = array.dictionary_encode() if dictionary else array
        return pa.chunked_array([array[:30], array[30:]]) if chunked else array

    return made


def of_polars(names=None):
    return lambda: pytest.importorskip("polars").Series(with_missing(None, names))


KINDS |= {
    "Arrow ints": of_arrow(),
    "Arrow strings": of_arrow(LETTERS),
    "Arrow bools": of_arrow([True, False, True]),
    "an Arrow dictionary": of_arrow(LETTERS, dictionary=True),
    "Arrow chunks": of_arrow(LETTERS, chunked=True),
    "polars ints": of_polars(),
    "polars strings": of_polars(LETTERS),
}


def of_torch():
    return pytest.importorskip("torch").tensor(with_missing(float("nan")))


KINDS["a torch tensor"] = of_torch
REFUSED = r"y: expected labels, got .* in 4 of 60 rows, first in row 7, 20, 33, \.\.\.; exclude"


@pytest.mark.parametrize("kind", KINDS)
def test_missing_labels_are_refused(kind):
    y = KINDS[kind]()
    with pytest.raises(ValueError, match=REFUSED):
        labels_of(y, N)
    with pytest.raises(ValueError, match=REFUSED):
        skmm.select(X, n, method="uniform", y=y, per_class="balanced")


@pytest.mark.parametrize(
    "use",
    [
        lambda y: skmm.select(X, n, y=y),
        lambda y: skmm.select(X, n, y=y, pilot="linear"),
        lambda y: skmm.select(X, n, method="class-balanced", y=y),
        lambda y: skmm.select(X, n, method="uniform", y=y, per_class={0: 4, 1: 4, 2: 4}),
        lambda y: skmm.select(X, n, method="el2n", probs=np.full((N, 3), 1 / 3), y=y),
        lambda y: skmm.select(X, n, method=lambda Z, n, seed, y: np.arange(n), y=y),
        lambda y: skmm.v_optimal(X, n, y=y, per_class="balanced"),
        lambda y: skmm.match_moments(X, n, y=y, per_class="balanced"),
        lambda y: skmm.cells(X, n, y=y),
    ],
)
def test_wherever_labels_enter(use):
    for y in (of_objects(with_missing(float("nan"))), KINDS["a masked array"]()):
        with pytest.raises(ValueError, match=REFUSED):
            use(y)


def test_one_row_is_named_alone():
    with pytest.raises(ValueError, match=r"in 1 of 3 rows, first in row 1; exclude"):
        labels_of(["a", None, "b"], 3)


@pytest.mark.parametrize(
    "y",
    [
        of_objects([int(c) for c in TRUE]),
        [LETTERS[c] for c in TRUE],
        of_objects([LETTERS[c] for c in TRUE]),
        np.ma.array(TRUE),
        np.ma.array(TRUE, mask=np.zeros(N, bool)),
        [("nan", "None", "")[c] for c in TRUE],  # names like others
        TRUE - 1,
        TRUE.astype(float),
        [bool(c) for c in TRUE > 0],
    ],
    ids=[
        "objects",
        "strings",
        "object strings",
        "masked",
        "mask",
        "names",
        "ints",
        "floats",
        "bools",
    ],
)
def test_labels_that_are_there(y):
    found = labels_of(y, N)
    plain = y.data if isinstance(y, np.ma.MaskedArray) else np.asarray(y)
    assert np.array_equal(found.values[found.number], plain)


def test_an_array_among_labels_is_no_label():
    y = of_objects([np.arange(3), *range(N - 1)])
    with pytest.raises((TypeError, ValueError)):
        labels_of(y, N)


@pytest.mark.parametrize("name", ["include", "exclude"])
def test_masked_row_numbers_are_refused(name):
    rows = np.ma.array([3, 5], mask=[False, True])
    with pytest.raises(ValueError, match=f"{name}: expected no masked entry, got 1"):
        skmm.select(X, n, **{name: rows})


@pytest.mark.parametrize(
    ("y", "error"),
    [
        ([f"{x:.3f}" for x in X[:, 0]], ValueError),
        (np.array([f"{x:.3f}" for x in X[:, 0]]), ValueError),
        (of_objects([f"{x:.3f}" for x in X[:, 0]]), ValueError),
        (np.array([f"{x:.3f}" for x in X[:, 0]], "S"), ValueError),
        (X[:, 0] + 0j, TypeError),
        (np.zeros(N, [("a", int)]), TypeError),
    ],
)
def test_labels_that_are_neither_classes_nor_numbers(y, error):
    """Numbers that were read as strings are no classes of one row each."""
    uses = (
        {},
        {"pilot": "linear"},
        {"method": "class-balanced"},
        {"method": "el2n", "probs": np.full((N, 3), 1 / 3)},
    )
    for options in uses:
        with pytest.raises(error, match=r"^y: expected classes or"):
            skmm.select(X, n, y=y, **options)
    with pytest.raises(error, match=r"^target\[1\]: expected"):
        skmm.select(X, n, y=TRUE, pilot="linear", target=(X, y))


def test_objects_that_are_numbers_are_numbers():
    numbers = X[:, 0].round(3)
    for y in (numbers, TRUE, TRUE > 0):
        found = labels_of(of_objects(y.tolist()), N)
        expected = labels_of(y, N)
        assert np.array_equal(found.values, expected.values)
        assert np.array_equal(found.number, expected.number)
        assert found.are_classes == expected.are_classes
    given = of_objects(numbers.tolist())
    chosen = [skmm.select(X, n, y=y, pilot="linear").indices for y in (given, numbers)]
    assert np.array_equal(*chosen)


def test_strings_of_whole_numbers_are_classes():
    assert labels_of([str(c) for c in TRUE], N).are_classes
    assert len(labels_of(["1.5"] * (N - 1) + ["a"], N).values) == 2


def test_one_label_says_nothing_to_a_pilot():
    for y in (["a"] * N, np.full(N, 0.5)):
        with pytest.raises(
            ValueError, match=r"^y: expected at least two labels for pilot 'linear'"
        ):
            skmm.select(X, n, y=y, pilot="linear")


def test_whole_numbers_of_a_regression_are_warned_of():
    numbers = np.arange(N) // 2 + 25.0
    for y in (numbers, numbers.astype(int)):
        with pytest.warns(UserWarning, match="y: 30 distinct whole numbers of 60 rows are taken"):
            skmm.select(X, n, y=y)
    scaled = numbers / numbers.std()  # some have a fraction
    names, few = numbers.astype(str), numbers // 10
    for y in (scaled, [f"c{x}" for x in names], few):
        skmm.select(X, n, y=y)
