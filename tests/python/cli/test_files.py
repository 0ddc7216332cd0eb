"""Files that `skmm-fast select` is given: arrays of numbers or strings, or one line that says what
is wrong."""

import numpy as np
import pytest
from support.damage import NOT_FILES, at_most

import skmm_fast as skmm
from skmm_fast import cli

X = np.random.default_rng(0).standard_normal((60, 6))
Y = np.repeat(np.array(["a", "b", "c"]), 20)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("X.npy", X)
    np.save("y.npy", Y)
    return tmp_path


def said(capsys, *options, X="X.npy"):
    """The one line on stderr of a selection that fails."""
    with at_most(20):
        assert cli.main(["select", X, "-n", "6", "--out", "s.npz", *options]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    return line


OPTIONS = [("X", None), ("y", "--y"), ("target", "--target"), ("target-y", "--target-y")]


@pytest.mark.parametrize(("name", "option"), OPTIONS, ids=[name for name, _ in OPTIONS])
@pytest.mark.parametrize(
    "content",
    [
        b"", b"no array", b"\x93NUMPY\x01\x00", b"PK\x03\x04",
        "header", "objects", "fields", "short", "huge", "nested",
    ],
)  # fmt: skip
def test_no_array(folder, capsys, name, option, content):
    whole = (folder / "X.npy").read_bytes()
    text = {
        "header": whole[:40],
        "short": whole[:-1],
        "huge": whole.replace(b"(60, 6), }        ", b"(600000000, 6), } "),
        "nested": whole[:8] + (9000).to_bytes(2, "little") + b"(" * 9000,
    }
    if content == "objects":
        np.save("bad.npy", np.array([print, print], object), allow_pickle=True)
    elif content == "fields":
        np.save("bad.npy", np.zeros(3, [("a", float)]))
    else:
        (folder / "bad.npy").write_bytes(text.get(content, content))
    expected = f"skmm-fast: {name}: expected a .npy of numbers or strings, got bad.npy ("
    options = [] if option is None else [option, "bad.npy"]
    if option == "--target-y":
        options += ["--target", "X.npy"]
    assert said(capsys, *options, X="bad.npy" if option is None else "X.npy").startswith(expected)


@pytest.mark.parametrize(("what", "make"), NOT_FILES.items(), ids=NOT_FILES)
def test_no_regular_file(folder, capsys, what, make):
    make(folder / "bad.npy")
    expected = f"skmm-fast: bad.npy: expected a regular file, got {what}; put or name a file"
    assert said(capsys, X="bad.npy").startswith(expected)
    for option in ("--y", "--target"):
        assert said(capsys, option, "bad.npy").startswith(expected)


def test_arrays_without_entries(capsys):
    np.save("none.npy", np.empty((0, 6)))
    assert "got none.npy (an array without entries)" in said(capsys, X="none.npy")
    assert "target: expected" in said(capsys, "--target", "none.npy")
    assert "y: expected 1 dimension, got shape (0, 6)" in said(capsys, "--y", "none.npy")


@pytest.mark.parametrize("shape", [(), (60,), (6, 5, 2)])
def test_arrays_of_other_dimensions(capsys, shape):
    np.save("bad.npy", np.ones(shape))
    assert "X: expected 2 dimension" in said(capsys, X="bad.npy")
    assert cli.main(["plan", "bad.npy", "-n", "5"]) == 1
    assert "X: expected 2 dimension" in capsys.readouterr().err


def test_arrays_of_other_layouts(folder):
    """In Fortran's order, of another byte order, in the second version, with bytes behind: as NumPy
    reads them."""
    expected = skmm.select(X, 6, y=Y).indices
    np.save("y.npy", Y.astype(">U1"))
    with open("X.npy", "wb") as file:
        np.lib.format.write_array(file, X, version=(2, 0))
        file.write(b"more")
    assert cli.main(["select", "X.npy", "-n", "6", "--out", "s.npz", "--y", "y.npy"]) == 0
    assert np.array_equal(skmm.Selection.load("s.npz").indices, expected)
