"""The pages are tests: the code of each runs from top to bottom, in a folder of its own.

- "python" blocks of a page share one namespace, and what a page wants said beforehand stands in a
  comment (`<!--- invisible-code-block: python`).
- A "text" block after code is what that code printed; `...` stands for anything, and numbers may
  differ by a tenth, as they do from processor to processor.
- "bash" blocks run in the page's folder, with `skmm-fast` on the path.

Other blocks are no code that runs here: "console" shows commands of clusters with their output,
"cpp" and "cmake" are built by tests/python/system/test_cpp_install.py.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import stand_ins
from sybil import Example, Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.myst import CodeBlockParser, SkipParser

FOLDER = Path(__file__).parent
NUMBER = r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?!\w)"

MEANS = {"skmm_fast.gradients": "torch", "```bash": "typer", ".report(": "matplotlib"}


def absent(page: Path) -> bool:
    """Whether the examples of a page need what is not installed."""
    text = page.read_text()
    code = "".join(re.findall(r"(?s)(?:```|block: )python\n(.*?)(?:```|-->)", text))
    names = set(re.findall(r"(?m)^(?:import|from) (\w+)", code)) - set(stand_ins.MODULES)
    names |= {package for words, package in MEANS.items() if words in text}
    return not all(map(importlib.util.find_spec, names))


collect_ignore = [str(page) for page in FOLDER.rglob("*.md") if absent(page)]


class Printed(PythonEvaluator):
    """Runs Python and keeps what it printed."""

    def __call__(self, example: Example) -> None:
        with contextlib.redirect_stdout(io.StringIO()) as out:
            super().__call__(example)
        example.namespace["printed"] = out.getvalue()


def shell(example: Example) -> None:
    done = subprocess.run(
        ["bash", "-e", "-c", example.parsed], capture_output=True, text=True,
        env={**os.environ, "PATH": f"{example.namespace['folder']}/bin:{os.environ['PATH']}",
             "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    example.namespace["printed"] = done.stdout


def compare(example: Example) -> None:
    """The text after code is what the code printed."""
    expected, got = (
        " ".join(text.split()) for text in (example.parsed, example.namespace["printed"])
    )
    numbers = list(map(float, re.findall(NUMBER, expected)))
    pattern = re.sub(NUMBER, "\0", expected)
    pattern = re.escape(pattern).replace(r"\.\.\.", ".*?").replace(re.escape("\0"), f"({NUMBER})")
    found = re.fullmatch(pattern, got)
    if not found or not np.allclose([*map(float, found.groups())], numbers, rtol=0.1, atol=0.011):
        raise AssertionError(f"expected:\n{example.parsed}\ngot:\n{example.namespace['printed']}")


def enter(namespace: dict[str, Any]) -> None:
    """A folder of its own, where `skmm-fast` is the command of this interpreter."""
    folder = Path(tempfile.mkdtemp(prefix="page-"))
    command = folder / "bin" / "skmm-fast"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m skmm_fast "$@"\n')
    command.chmod(0o755)
    namespace |= {"folder": folder, "monkeypatch": pytest.MonkeyPatch()}
    namespace["monkeypatch"].chdir(folder)


def leave(namespace: dict[str, Any]) -> None:
    namespace["monkeypatch"].undo()
    shutil.rmtree(namespace["folder"])


pytest_collect_file = Sybil(
    parsers=[
        CodeBlockParser("python", Printed()),
        CodeBlockParser("bash", shell),
        CodeBlockParser("text", compare),
        SkipParser(),
    ],
    patterns=["*.md"],
    setup=enter,
    teardown=leave,
).pytest()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What other libraries warn of in examples is their own."""
    for item in items:
        if item.path.is_relative_to(FOLDER):
            item.add_marker(pytest.mark.filterwarnings("ignore"))
