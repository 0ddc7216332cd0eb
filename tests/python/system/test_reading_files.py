"""Files are read without trust: regular files alone, arrays that fit, JSON that is one."""

import io
import json
import os
import tracemalloc

import numpy as np
import pytest
from support.damage import NOT_FILES, at_most

from skmm_fast._support import npy
from skmm_fast._support.files import open_regular
from skmm_fast._support.json_text import figure, parsed, plain, require_names


@pytest.mark.parametrize(("what", "make"), NOT_FILES.items(), ids=NOT_FILES)
def test_only_regular_files_are_opened(tmp_path, what, make):
    make(tmp_path / "file")
    said = f"/file: expected a regular file, got {what}; put"
    with at_most(20), pytest.raises(ValueError, match=said):
        open_regular(tmp_path / "file")


def test_a_fifo_in_the_place_of_a_file(tmp_path, monkeypatch):
    """It takes that place after the file was looked at."""
    path = tmp_path / "file"
    path.write_bytes(b"1")
    found = os.stat(path)
    path.unlink()
    os.mkfifo(path)
    monkeypatch.setattr(os, "stat", lambda *_, **__: found)
    with at_most(20), pytest.raises(ValueError, match="expected a regular file, got a FIFO"):
        open_regular(path)


def test_a_file_is_read_through_links(tmp_path):
    (tmp_path / "file").write_bytes(b"1")
    (tmp_path / "link").symlink_to("file")
    with open_regular(tmp_path / "link") as file:
        assert file.read() == b"1"
    for name, target in (("loop", "loop"), ("dangling", "none")):
        (tmp_path / name).symlink_to(target)
        with pytest.raises(OSError, match=name):
            open_regular(tmp_path / name)


def bytes_of(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0), np.arange(6).reshape(2, 3), np.arange(6).reshape(2, 3).T, np.array(5),
        np.array(["a", "é", "\U0010ffff"]), np.array([b"a"]), np.zeros((0, 3)), np.ones(2, bool),
        np.arange(3, dtype=">i8"), np.array([1 + 2j]), np.array("2020", "M8[D]"),
        np.asfortranarray(np.array([["a", "b"], ["c", "d"]])), np.zeros((2, 0, 3), "U2"),
    ],
)  # fmt: skip
def test_arrays_are_read_as_numpy_reads_them(array, tmp_path):
    back = npy.read(bytes_of(array))
    assert np.array_equal(back, array)
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    assert back.flags.writeable
    path = tmp_path / "a.npy"
    path.write_bytes(bytes_of(array))
    with path.open("rb") as file:
        header = npy.header_of(file, path.stat().st_size)
        if array.size:
            assert np.array_equal(npy.mapped(file, header), array)
        else:
            with pytest.raises(ValueError, match="without entries"):
                npy.mapped(file, header)


def with_header(text, data=b"", version=1):
    length = len(text).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + length + text.encode("latin-1") + data


def described(descr="'<f8'", shape="(2,)", order="False"):
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n"


HEADERS = {
    "empty": b"",
    "magic alone": b"\x93NUMPY",
    "version 3": with_header(described(), b"0" * 16, 3),
    "version 9": with_header(described(), b"0" * 16, 9),
    "an end too early": bytes_of(np.arange(6.0))[:-1],
    "no dictionary": with_header("[1, 2]\n"),
    "no Python": with_header("{'descr': \n"),
    "half a string": with_header("{'descr': '''\n"),
    "indented": with_header("  x\n y\n"),
    "nested": with_header("(" * 9000 + ")" * 900),
    "minus": with_header("-" * 9000 + "1"),
    "long": with_header(" " * 60_000),
    "a length of 4 GB": b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + described().encode(),
    "objects": with_header(described("'|O'"), b"0" * 16),
    "fields": with_header(described("[('a', '<f8')]"), b"0" * 16),
    "sub-arrays": with_header(described("'(2,)f8'"), b"0" * 99),
    "void": with_header(described("'|V8'"), b"0" * 16),
    "no type": with_header(described("'<f99'"), b"0" * 16),
    "a type of a number": with_header(described("3"), b"0" * 16),
    "strings of no length": with_header(described("'<U0'", "(1000000000000,)")),
    "negative": with_header(described(shape="(-2,)"), b"0" * 16),
    "twice negative": with_header(described(shape="(-1, -2)"), b"0" * 16),
    "bools": with_header(described(shape="(True,)"), b"0" * 16),
    "a shape of a number": with_header(described(shape="2"), b"0" * 16),
    "too many": with_header(described(shape="(3,)"), b"0" * 16),
    "2^64 numbers": with_header(described(shape=f"({2**32}, {2**32})"), b"0" * 16),
    "2^80 bytes": with_header(described(shape=f"({2**80},)"), b"0" * 16),
    "0 x 2^80": with_header(described(shape=f"(0, {2**80})")),
    "33 dimensions": with_header(described(shape=str((1,) * 33)), b"0" * 8),
    "an order of a string": with_header(described(order="'F'"), b"0" * 16),
    "bools of 2": with_header(described("'|b1'"), b"\1\2"),
    "no characters": with_header(described("'<U2'"), b"\xff" * 16),
    "no characters, swapped": with_header(described("'>U2'"), b"\xff" * 16),
}


@pytest.mark.parametrize("content", HEADERS.values(), ids=HEADERS)
@pytest.mark.filterwarnings("ignore")
def test_headers_that_are_none(content):
    tracemalloc.start()
    try:
        with at_most(20), pytest.raises(ValueError, match=r"^[^\n]{5,400}$"):
            npy.read(content)
        assert tracemalloc.get_traced_memory()[1] < 1 << 24
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["bools of 2", "no characters", "no characters, swapped"])
@pytest.mark.parametrize("order", ["False", "True"])
def test_maps_of_no_values(name, order, tmp_path):
    path = tmp_path / "a.npy"
    path.write_bytes(HEADERS[name].replace(b"False", order.encode().ljust(5)))
    with path.open("rb") as file, pytest.raises(ValueError, match=r"^bools|^strings"):
        npy.mapped(file, npy.header_of(file, path.stat().st_size))


@pytest.mark.parametrize("value", [None, [1, 2.5, "ü"], {"a": {"b": [True, -3]}}, 2**64, 1e-300])
def test_json_is_read(value):
    assert parsed(json.dumps(value)) == value
    assert parsed(json.dumps(value).encode()) == value


DEEP = 100


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "Expecting value"),
        ("{", "Expecting"),
        ("1 2", "Extra data"),
        (b"\xff", "invalid start byte"),
        ("NaN", "NaN, which JSON does not have"),
        ("[-Infinity]", "-Infinity, which"),
        ("1e999", "beyond the largest float, 1e999"),
        ('{"a": 1, "b": 2, "a": 1}', "'a' twice"),
        ("9" * 5000, "digits"),
        ("[" * (DEEP + 1) + "1" + "]" * (DEEP + 1), "nested more than 100 times"),
        ('{"a":' * 5000 + "1" + "}" * 5000, "nested more than 100 times"),
        ("[" * 10**6, "nested more than 100 times"),
    ],
)
def test_json_that_is_none(text, said):
    with pytest.raises(ValueError, match=said):
        parsed(text)


def test_json_that_is_deep_but_read():
    assert parsed("[" * DEEP + "1" + "]" * DEEP)


def test_names_of_an_object():
    require_names({"a": 1, "b": 2}, ("a", "b"))
    for values, said in (
        ([], "no object with a, b"),
        ({"a": 1}, "no 'b'"),
        ({"a": 1, "b": 2, "c": 3}, "'c', which is no field"),
    ):
        with pytest.raises(ValueError, match=said):
            require_names(values, ("a", "b"))


def test_figures():
    for value in (1.5, np.inf, -np.inf, 3):
        assert figure("x", plain(value)) == value
    assert np.isnan(figure("x", plain(np.nan)))
    for value in ("1.5", True, None, [1.0], 10**400, "Infinity"):
        with pytest.raises((TypeError, ValueError), match="x: expected a number"):
            figure("x", value)
