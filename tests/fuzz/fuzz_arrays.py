"""A .npy that is given to the command: the array that NumPy reads there, or one line of error."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import numpy as np
from choices import Choices

from skmm_fast.cli import main
from skmm_fast.cli.inputs import array as read_array

DTYPES = [
    "<f8", "<f4", "<f2", ">f8", "<i8", "<i4", "|u1", ">u2", "|b1", "<U3", ">U2", "|S4", "<c16",
    "<M8[D]", "<m8[s]",
]  # fmt: skip
SHAPES = [(3,), (0,), (), (2, 3), (4, 1), (0, 3), (1, 1, 2), (5, 2), (30, 4)]
HEADERS = [
    "'descr'", "'fortran_order'", "'shape'", "True", "False", "(", ")", ",", "{", "}", "'", "-1",
    f"{2**64}", "1e5", "[", "]", "#", "\\", "'''", "L", "lambda: 0", "__import__('os')", "'|O'",
    "'<U0'", "'|V8'", "[('a', '<f8')]", "None", "(((", "0x", "'<f8,<f8'", "\n", "\t ",
]  # fmt: skip


def target(choices: Choices, folder: Path) -> bool:
    path = folder / "a.npy"
    dtype, shape = np.dtype(choices.of(DTYPES)), choices.of(SHAPES)
    count = int(np.prod(shape))
    rng = np.random.default_rng(choices.below(99))
    x = rng.integers(1, 100, count).astype("U3" if dtype.kind in "US" else "i8")
    x = x.astype(dtype).reshape(shape, order=choices.of("CF"))
    file = io.BytesIO()
    np.lib.format.write_array(file, x, version=choices.of([(1, 0), (2, 0)]))
    content = file.getvalue()
    if choices.damage:
        content = _damaged(choices, content)
    path.write_bytes(content)
    as_map = choices.chance(2)
    try:
        found = read_array("X", path, as_map)
    except ValueError as error:
        said = str(error)
        start = f"X: expected a .npy of numbers or strings, got {path} ("
        assert said.startswith(start), said
        assert "\n" not in said[len(start) :], said
        assert choices.damage or (as_map and x.size == 0), said
        if choices.chance(100):
            _whole_command(path, None)
        return as_map and x.size == 0 and not choices.damage
    assert found.dtype.kind not in "OV"
    expected = np.load(path, allow_pickle=False) if choices.damage else x
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    assert found.tobytes() == expected.tobytes()
    found.tolist()  # every entry is a value
    if choices.chance(100):
        _whole_command(path, found)
    return True


def _damaged(choices: Choices, content: bytes) -> bytes:
    kind = choices.below(3)
    if kind == 0:
        return choices.damaged(content)
    version = content[6]
    start = 8 + 2 * version
    end = start + int.from_bytes(content[8:start], "little")
    text = content[start:end].decode("latin-1").rstrip()
    for _ in range(1 + choices.below(3)):
        at, width = choices.below(len(text) + 1), choices.below(12)
        text = text[:at] + choices.of(HEADERS) * choices.of([1, 1, 1, 2, 300]) + text[at + width :]
    coded = (text + "\n").encode("latin-1")[:60_000]
    length = len(coded) if choices.chance(2) else (end - start)
    return content[:8] + length.to_bytes(2 * version, "little") + coded + content[end:]


def _whole_command(path: Path, array: np.ndarray | None) -> None:
    """The command ends with 0, or with 1 and one line of error, whatever the file holds."""
    X = path.with_name("X.npy")
    if not X.exists():
        np.save(X, np.random.default_rng(0).standard_normal((30, 4)))
    out = str(path.with_name("s.npz"))
    for argv in (
        ["select", str(path), "-n", "1", "--method", "uniform"],
        ["select", str(X), "-n", "3", "--method", "uniform", "--y", str(path)],
        ["select", str(X), "-n", "3", "--target", str(path)],
    ):
        said, shown = io.StringIO(), io.StringIO()
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(shown):
            status = main([*argv, "--out", out, "--plot", "/dev/null", "--diagnose", "fast"])
        lines = [x for x in said.getvalue().splitlines() if x.startswith("skmm-fast: ")]
        assert status in (0, 1), status
        assert status == 0 or len(lines) == 1, said.getvalue()
        assert array is not None or status == 1
