"""What the command writes to its terminal: in characters that it can show, and to nobody where the
reader is gone.

A result is on disk before it is printed, so neither may end the command.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

# What stands for a character that the terminal's encoding lacks.
PLAIN = {
    "Φ": "Phi",
    "Σ": "Sigma",
    "Γ": "Gamma",
    "ω": "omega",
    "λ": "lambda",
    "ζ": "zeta",
    "\N{COMBINING TILDE}": "~",
    "\N{COMBINING MACRON}": "",
    "⁻": "^-",
    "¹": "1",
    "²": "^2",
    "₂": "_2",
    "‖": "||",
    "±": "+-",
    "·": "*",
    "≤": "<=",
    "≥": ">=",
    "…": "...",
    "–": "-",
}


class Terminal:
    """A text stream that never fails for what is written to it.

    A character that its encoding lacks is written as `PLAIN` says, or as an escape like \\u4e2d.
    Once the pipe behind it is closed, what is written is dropped. A stream that does not exist
    (None) drops everything.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        if self._stream is None:
            raise AttributeError(name)
        return getattr(self._stream, name)

    def isatty(self) -> bool:
        return self._stream is not None and self._stream.isatty()

    def write(self, text: str) -> int:
        if self._stream is not None:
            try:
                self._stream.write(shown(text, self._stream.encoding or "utf-8"))
            except BrokenPipeError:
                self._drop()
        return len(text)

    def flush(self) -> None:
        if self._stream is not None:
            try:
                self._stream.flush()
            except BrokenPipeError:
                self._drop()

    def close(self) -> None:
        """Write out what is left. What cannot be written is lost, and was reported by `flush`."""
        try:
            self.flush()
        except OSError:
            self._drop()

    def _drop(self) -> None:
        """Write to nobody from now on: also what the interpreter writes out when it ends."""
        stream, self._stream = self._stream, None
        with suppress(OSError, ValueError):  # a stream without a descriptor has nothing to mend
            nobody = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nobody, stream.fileno() if stream is not None else nobody)
            os.close(nobody)


def shown(text: str, encoding: str) -> str:
    """The text with each character that the encoding lacks written in others."""
    if _has(encoding, text):
        return text
    return "".join(c if _has(encoding, c) else _plain(c, encoding) for c in text)


def _has(encoding: str, text: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _plain(character: str, encoding: str) -> str:
    escaped = character.encode(encoding, "backslashreplace").decode(encoding)
    return PLAIN.get(character, escaped)


@contextmanager
def terminal() -> Iterator[None]:
    """A context in which stdout and stderr are `Terminal`s; at its end they are written out."""
    before = sys.stdout, sys.stderr
    out, err = Terminal(sys.stdout), Terminal(sys.stderr)
    sys.stdout, sys.stderr = out, err
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        for stream in (out, err):
            stream.close()
