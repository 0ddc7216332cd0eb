"""Sphinx builds the site from the pages of this folder: `make docs`.

Pages are Markdown that reads well where it lies, too. Some files outside of this folder are pages
of the site all the same: the page that OUTSIDE names shows them, and links to them lead there.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

from sphinx.application import Sphinx

import skmm_fast

project = "skmm-fast"
author = "The skmm-fast developers"
version = release = skmm_fast.__version__
html_theme, html_title, html_show_copyright = "furo", "skmm-fast", False

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_copybutton",
]
templates_path = ["_templates"]
nitpicky = True
default_role = "code"  # of docstrings
myst_heading_anchors = 3
autosummary_generate = True
autodoc_typehints = "none"  # the sections of the docstrings have the types
numpydoc_show_class_members = False  # the template of classes has them

HERE = Path(__file__).parent
ROOT = HERE.parent
OUTSIDE = {  # file -> the page that stands for it
    "DESIGN.md": "project/design.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "CHANGELOG.md": "project/changelog.md",
    "bench/README.md": "benchmarks.md",
    "bench/NOTES.md": "project/notes.md",
    "examples": "examples.md",
}
SHOWN = {page: file for file, page in OUTSIDE.items() if file.endswith(".md")}


def read_page(app: Sphinx, name: str, source: list[str]) -> None:
    """The text of a page, that of a file outside where it stands for one, with links that lead
    from here to pages and pictures."""
    page = f"{name}.md"
    if name == "reference/command":
        source[0] = command_help()
    if not (HERE / page).exists():
        return
    file = SHOWN.get(page, f"docs/{page}")
    text = (ROOT / file).read_text() if page in SHOWN else source[0]

    def turned(link: re.Match[str]) -> str:
        target, anchor = link.group(1), link.group(2) or ""
        path = os.path.normpath(os.path.join(os.path.dirname(file), target))
        to = HERE / OUTSIDE[path] if path in OUTSIDE else ROOT / path
        return f"]({os.path.relpath(to, (HERE / page).parent)}{anchor})"

    source[0] = re.sub(r"\]\((?!https?://|#)([^)#\s]+)(#[^)\s]*)?\)", turned, text)


def command_help() -> str:
    """What `skmm-fast --help` and that of each subcommand say, examples as code."""
    command = [sys.executable, "-m", "typer", "skmm_fast.cli.app", "utils", "docs"]
    done = subprocess.run(
        [*command, "--name", "skmm-fast"], check=True, capture_output=True, text=True
    )
    text = re.sub(r"(?m)^((?:skmm-fast .*\n)+)", r"```console\n\1```\n", done.stdout)
    return text.replace("# `skmm-fast`", "# The command", 1)


def setup(app: Sphinx) -> None:
    app.connect("source-read", read_page)
