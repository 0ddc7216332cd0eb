"""Decisions that are read from the bytes of a fuzzer's input, and what fuzzers make of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TypeVar
from zlib import crc32

T = TypeVar("T")

# Tokens that stand in the place of a JSON value: of other types, and at the ends of their ranges.
ODD_TOKENS = [
    "null", "true", "false", "0", "-1", "1", "2", "1.0", "-0.0", "1e999", "-1e999", "NaN",
    "Infinity", "-Infinity", "[]", "{}", '""', '"1"', "[1]", "[[1]]", '{"a": 1}',
    "9223372036854775807", "9223372036854775808", "18446744073709551616", "-9223372036854775809",
    "9" * 400, "9" * 5000, "1e308", "1e-320", "1" + "0" * 17, "[" * 200 + "]" * 200, "[" * 5000,
    '{"a":' * 2000, '"\\ud800"', '"\\u0000"', '"../x"', "\x00", "\ud800", "1,", '"', "[1, 2",
    "float32", "'x'",
]  # fmt: skip


class Choices:
    """The decisions in an input. One that has ended decides 0 from then on."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0
        # A fuzzer prefers inputs that reach more code, which are those with damage: a hash of the
        # input decides, so that it cannot choose.
        self.damage = crc32(data) % 10 < 3

    def below(self, n: int) -> int:
        """A number in [0, n)."""
        width = max(1, ((n - 1).bit_length() + 7) // 8)
        part = self._data[self._at : self._at + width]
        self._at += width
        return int.from_bytes(part, "little") % n

    def of(self, options: Sequence[T]) -> T:
        return options[self.below(len(options))]

    def chance(self, one_in: int) -> bool:
        return self.below(one_in) == one_in - 1

    def text(self) -> str:
        letters = 'ab "\\/{}[],:\n\t\x00é中\U0001f600'
        return "".join(self.of(letters) for _ in range(self.below(6)))

    def value(self, depth: int = 0) -> Any:
        """A value that JSON can hold."""
        kind = self.below(8 if depth < 5 else 6)
        if kind == 6:
            return [self.value(depth + 1) for _ in range(self.below(4))]
        if kind == 7:
            return {self.text(): self.value(depth + 1) for _ in range(self.below(4))}
        return [
            None, self.chance(2), self.below(1 << 32) - 5, 10 ** self.below(30),
            (self.below(1 << 16) - (1 << 15)) / 7 * 10.0 ** (self.below(200) - 100), self.text(),
        ][kind]  # fmt: skip

    def json(self, value: Any) -> str:
        """JSON text of the value, in one of its manners."""
        if isinstance(value, dict) and self.chance(2):
            names = sorted(value, reverse=self.chance(2))
            value = {name: value[name] for name in names}
        return self.of(["", " ", "\n"]) + json.dumps(
            value,
            indent=self.of([None, 1, "\t"]),
            separators=self.of([None, (",", ":")]),
            ensure_ascii=self.chance(2),
        )

    def damaged(self, content: bytes) -> bytes:
        """The bytes after one to three accidents: bits and bytes changed, lost, doubled, more."""
        for _ in range(1 + self.below(3)):
            at = self.below(len(content) + 1)
            some = self.below(9)
            kind = self.below(8)
            if kind == 0:
                content = content[:at]
            elif kind == 1:
                content = content[:at] + content[at + 1 + some :]
            elif kind == 2:
                content = content[:at] + content[at : at + some] + content[at:]
            elif kind == 3:
                more = bytes(self.below(256) for _ in range(1 + some))
                content = content[:at] + more + content[at:]
            elif kind == 4:
                content = content + bytes(some + 1)
            elif kind == 5:
                content = content[:at] + bytes([self.below(256)]) + content[at + 1 :]
            elif at < len(content):
                content = content[:at] + bytes([content[at] ^ 1 << some % 8]) + content[at + 1 :]
        return content

    def damaged_json(self, values: Any) -> bytes:
        """JSON text of an object in which a field is lost, doubled, renamed or of another value,
        there or in an object in it; or with accidents to its bytes."""
        text = self.json(values)
        if self.chance(3):
            return self.damaged(text.encode("utf-8", "surrogatepass"))
        place = values
        while isinstance(place, dict) and place:
            name = self.of(list(place))
            inner = place[name]
            if not isinstance(inner, dict) or not inner or self.chance(3):
                break
            place = inner
        if not isinstance(place, dict) or not place:
            return self.damaged(text.encode("utf-8", "surrogatepass"))
        mark = "\ue000"
        kind = self.below(5)
        if kind == 0:
            changed, token = {k: v for k, v in place.items() if k != name}, ""
        elif kind == 1:
            changed, token = {**place, name + "x": place[name]}, ""
            del changed[name]
        elif kind == 2:
            changed, token = {**place, "more": mark}, self.of(ODD_TOKENS)
        elif kind == 3:
            changed, token = {**place, mark: 1}, name.replace('"', "")
        else:
            changed, token = {**place, name: mark}, self.of(ODD_TOKENS)
        text = json.dumps(_with(values, place, changed))
        marked = json.dumps(mark)
        text = text.replace(marked, f'"{token}"' if kind == 3 else token)
        return text.encode("utf-8", "surrogatepass")


def _with(values: Any, place: Any, changed: Any) -> Any:
    """The values with `changed` in the place of an object in them."""
    if values is place:
        return changed
    if isinstance(values, dict):
        return {name: _with(inner, place, changed) for name, inner in values.items()}
    return values
