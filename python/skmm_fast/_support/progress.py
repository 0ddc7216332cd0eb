"""Progress bars, shown only where the caller asks for them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from .optional import need

Tick = Callable[[int], None] | None  # what says how much is done; None where nothing is shown

LINES_APART = 30.0  # seconds between two lines of a bar that is written to a log
KNOWN = "{desc}: {percentage:3.0f}% {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_fmt}]"
UNKNOWN = "{desc}: {n_fmt}{unit} [{elapsed}, {rate_fmt}]"


class _Lines:
    """A file for tqdm that makes a line of each new state of a bar, for a log."""

    def __init__(self) -> None:
        self.last = ""

    def write(self, text: str) -> None:
        line = text.strip("\r\n ")
        state = line.partition(" [")[0]  # without the time and the rate
        if state not in ("", self.last):
            sys.stderr.write(line + "\n")
            self.last = state

    def flush(self) -> None:
        sys.stderr.flush()


def _options(total: int | None) -> dict[str, Any]:
    """How tqdm shows a bar: as one, or as lines where stderr is a file and no notebook's."""
    if sys.stderr.isatty() or "ipykernel" in sys.modules:
        return {}
    return {
        "file": _Lines(),
        "mininterval": LINES_APART,
        "maxinterval": LINES_APART,
        "bar_format": UNKNOWN if total is None else KNOWN,
    }


@contextmanager
def bar(
    what: str, total: int | None, shown: bool, unit: str = "rows", before: int = 0
) -> Iterator[Tick]:
    """A context that shows a bar and yields a function `tick(done)`, which sets how much of `total`
    is done; a bar without a total only counts. It yields None where `shown` is False. `before` is
    what was done earlier and does not count towards the rate."""
    if not shown:
        yield None
        return
    with need("tqdm", "cli").tqdm(
        total=total, initial=before, desc=what, unit=f" {unit}", unit_scale=True, **_options(total)
    ) as shown_bar:
        yield lambda done: shown_bar.update(done - shown_bar.n)
        if total is not None:
            shown_bar.update(total - shown_bar.n)


@contextmanager
def bar_then_count(
    what: str, total: int, then: str, shown: bool, unit: str = "rows"
) -> Iterator[Tick]:
    """A context as `bar`, for work in two phases. `tick(total + 1 + k)` says that the first is over
    and that k things are done in the second, called `then`, whose number is not known before."""
    if not shown:
        yield None
        return
    with ExitStack() as open_bar:
        tick_first = open_bar.enter_context(bar(what, total, shown, unit))
        tick_second: Tick = None

        def tick(done: int) -> None:
            nonlocal tick_second
            if done <= total and tick_first is not None:
                tick_first(done)
                return
            if tick_second is None:
                open_bar.close()
                tick_second = open_bar.enter_context(bar(then, None, shown, then))
            if tick_second is not None:
                tick_second(done - total - 1)

        yield tick


def after(before: int, tick: Tick) -> Tick:
    """The function `tick` of a bar for a part of the work that begins when `before` is done."""
    return tick and (lambda done: tick(before + done))
