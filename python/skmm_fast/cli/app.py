"""The subcommands of `skmm-fast`, and how they end."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

from .._support.optional import need
from .._support.ranks import RankError
from .._version import __version__
from .demo_command import demo
from .describe_commands import info, status, verify
from .options import flag
from .plan_command import plan
from .report_command import report
from .select_command import select
from .sketch_command import sketch

typer: Any = need("typer", "cli")

HELP = """Choose finetuning data: sketch per-sample gradients, then select.

\b
skmm-fast sketch my_project:build --out sketches/
skmm-fast select sketches/ -n 2% --out chosen.json
skmm-fast report chosen.npz --out report.html

Exit status: 0 done; 1 an error, in one line on stderr; 2 a wrong command line; 130 interrupted.
"""

app = typer.Typer(
    help=HELP,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def run(argv: list[str]) -> int:
    """Run the command line and return its exit status."""
    try:
        app(args=argv, prog_name="skmm-fast")
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def _reported(command: Callable[..., None]) -> Callable[..., None]:
    """The command with errors that a user can mend as one line on stderr."""

    @functools.wraps(command)
    def reported(*args: Any, **options: Any) -> None:
        try:
            command(*args, **options)
            sys.stdout.flush()
        except (ImportError, OSError, RankError, TypeError, ValueError) as error:
            print(f"skmm-fast: {error}", file=sys.stderr)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            print("skmm-fast: stopped", file=sys.stderr)
            raise typer.Exit(130) from None

    return reported


def _version(asked: bool) -> None:
    if asked:
        print(f"skmm-fast {__version__}")
        raise typer.Exit


def _main(
    version: bool = flag("--version", help="Say the version.", callback=_version, is_eager=True),
) -> None:
    pass


app.callback(help=HELP)(_main)
for command in (sketch, select, report, plan, info, status, verify, demo):
    app.command(command.__name__, help=command.__doc__)(_reported(command))
