"""How options of the command are declared, and values that are more than a number or a name.

An option that is not given is None and is not passed on, so that defaults are those of the public
functions; the help says them.
"""

from __future__ import annotations

from typing import Any

from .._support.optional import need

typer: Any = need("typer", "cli")

COUNT = "Rows to choose: 2000, 0.02 or 2%."


def option(*names: str, help: str, default: object = None, **more: Any) -> Any:
    """An option that may be left out; `default` is what its help says."""
    more.setdefault("metavar", names[0].lstrip("-").upper())
    shown = False if default is None else str(default)
    return typer.Option(None, *names, help=help, show_default=shown, **more)


def needed(*names: str, help: str, **more: Any) -> Any:
    """An option that must be given."""
    return typer.Option(..., *names, help=help, **more)


def flag(*names: str, help: str, **more: Any) -> Any:
    """An option without a value."""
    return typer.Option(False, *names, help=help, show_default=False, **more)


def argument(help: str, metavar: str, **more: Any) -> Any:
    """What is given by its place."""
    return typer.Argument(..., help=help, metavar=metavar, **more)


def given(options: dict[str, Any]) -> dict[str, Any]:
    """The options that were given."""
    return {name: value for name, value in options.items() if value is not None}


def count(text: str) -> int | float:
    """A number of rows, or a share of them: 2000, 0.02 or 2%."""
    try:
        if text.endswith("%"):
            return float(text[:-1]) / 100
        return float(text) if "." in text or "e" in text.lower() else int(text)
    except ValueError:
        said = f"expected a number of rows, or a share such as 0.02 or 2%, got {text!r}"
        raise typer.BadParameter(said) from None


def number_or_name(text: str) -> float | str:
    """A power of class sizes, or a name."""
    try:
        return float(text)
    except ValueError:
        return text


def patterns(text: str) -> str | list[str]:
    """One name or pattern of parameters, or several separated by commas."""
    return text.split(",") if "," in text else text
