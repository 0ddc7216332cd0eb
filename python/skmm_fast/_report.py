"""A page about a selection, as one HTML file."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from typing import Any

from ._diagnose import Diagnosis
from ._plot import Picture, plot_selection
from ._selection_view import table, title_of
from .methods.class_counts import ClassCounts

MOST_CLASSES = 50  # of which the page has bars
SHOWN = 2000  # characters of an example
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem;
  color: #222; background: #fff }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2rem }
.verdict { font-size: 1.15rem; border-left: .3rem solid #888; padding: .3rem .8rem;
  background: #f5f5f4 }
.Better { border-color: #2a8a3e } .Worse { border-color: #c33 }
.warning { border-left: .3rem solid #e6a700; padding: .2rem .8rem; background: #fff8e5 }
table { border-collapse: collapse; width: 100% }
td, th { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid #ddd;
  vertical-align: top }
.bar { height: .55rem; background: #bbb } .bar + .bar { background: #c33 }
img { max-width: 100%; height: auto }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0 }
.scroll { overflow-x: auto }
"""


def page(
    settings: dict[str, Any],
    d: Diagnosis,
    picture: Picture | None,
    samples: Sequence[tuple[int, Any]],
) -> str:
    """The page. `samples` are pairs of a row number and what it stands for."""
    title = html.escape(f"Selection of {title_of(settings, d)}")
    rows = "".join(_row("td", row) for row in table(d))
    parts = [
        f"<h1>{title}</h1>"
        f"<p class='verdict {d.verdict.partition(' ')[0]}'>{html.escape(d.verdict)}</p>",
        *(f"<p class=warning>{html.escape(said)}</p>" for said in d.warnings),
    ]
    if rows:
        head = _row("th", ("figure", "this selection", "beside"))
        parts.append(
            f"<h2>Figures</h2><p>Of errors, lower is better.</p><table>{head}{rows}</table>"
        )
    if picture is not None:
        parts.append(f"<h2>Pool and selection</h2>{_image(picture, d, str(settings['method']))}")
    if d.class_counts is not None:
        parts.append(_classes(d.class_counts, d.n, d.n_samples))
    if samples:
        lines = "".join(_example(number, sample) for number, sample in samples)
        parts.append(f"<h2>Examples</h2><table>{lines}</table>")
    how = "".join(_row("td", (str(k), str(v))) for k, v in settings.items() if v is not None)
    parts.append(f"<h2>Settings</h2><div class=scroll><table>{how}</table></div>")
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def _row(cell: str, values: Sequence[str]) -> str:
    return f"<tr>{''.join(f'<{cell}>{html.escape(value)}</{cell}>' for value in values)}</tr>"


def _image(picture: Picture, d: Diagnosis, title: str) -> str:
    file = io.BytesIO()
    plot_selection(picture, d, title).savefig(file, dpi=130, format="png")
    data = base64.b64encode(file.getvalue()).decode()
    said = "pool and selection, spectrum, and errors beside uniform draws"
    return f'<img alt="{said}" src="data:image/png;base64,{data}">'


def _classes(counts: ClassCounts, n: int, n_samples: int) -> str:
    """Bars of the share of each class in the pool and in the selection."""
    shares = list(zip(counts.labels.tolist(), counts.pool / n_samples, counts.chosen / n,
                      counts.pool, counts.chosen, strict=True))  # fmt: skip
    largest = max(max(of_pool, chosen) for _, of_pool, chosen, _, _ in shares)
    rows = "".join(
        f"<tr><td>{html.escape(str(label))}</td><td>{pool}</td><td>{chosen}</td>"
        f"<td style='width:50%'>"
        f"<div class=bar style='width:{share_of_pool / largest:.1%}'></div>"
        f"<div class=bar style='width:{share / largest:.1%}'></div></td></tr>"
        for label, share_of_pool, share, pool, chosen in shares[:MOST_CLASSES]
    )
    more = f"<p>and {len(shares) - MOST_CLASSES} more.</p>" if len(shares) > MOST_CLASSES else ""
    head = _row("th", ("class", "pool", "chosen", "share of the pool (grey) and chosen (red)"))
    return f"<h2>Classes before and after</h2><table>{head}{rows}</table>{more}"


def _example(number: int, sample: Any) -> str:
    if isinstance(sample, Mapping):
        sample = "\n".join(f"{name}: {value}" for name, value in sample.items())
    text = str(sample)
    cut = f"{text[:SHOWN]}…" if len(text) > SHOWN else text
    return f"<tr><td>{int(number)}</td><td><pre>{html.escape(cut)}</pre></td></tr>"
