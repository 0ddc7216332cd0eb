"""Progress bars, shown only where the caller asks for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .optional import need


@contextmanager
def bar(
    what: str, total: int, shown: bool, unit: str = "rows", before: int = 0
) -> Iterator[Callable[[int], None] | None]:
    """A context that shows a bar and yields a function `tick(done)`, which sets how much of `total`
    is done. It yields None where `shown` is False. `before` is what was done earlier and does not
    count towards the rate."""
    if not shown:
        yield None
        return
    with need("tqdm", "cli").tqdm(
        total=total, initial=before, desc=what, unit=f" {unit}", unit_scale=True
    ) as shown_bar:
        yield lambda done: shown_bar.update(done - shown_bar.n)
        shown_bar.update(total - shown_bar.n)


def after(before: int, tick: Callable[[int], None] | None) -> Callable[[int], None] | None:
    """The function `tick` of a bar for a part of the work that begins when `before` is done."""
    return tick and (lambda done: tick(before + done))
