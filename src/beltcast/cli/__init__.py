"""The command line; `beltcast --help` lists its commands.

Exit codes: 0 success; 1 the computation failed or a check found a fault; 2 the input is wrong;
130 interrupted.  Progress goes to standard error, and only to a terminal.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Annotated, NoReturn

import typer

import beltcast
from beltcast.cli import choices, drivers, fitting, forecasting, frozen, models, pages
from beltcast.cli.common import one_by_one
from beltcast.cli.ending import ends_soon_when_interrupted
from beltcast.cli.language import said_error, say, speaking, spoken_command
from beltcast.errors import BeltcastError, CalibrationError, SimulationError, reason_of

app = typer.Typer(
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Forecast with system-dynamics models fitted to published data: the evidence behind each "
    "number, its drivers, its scenarios and its uncertainty.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"beltcast {beltcast.__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and exit.", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    """Handle the options before the command."""


_PANELS: Mapping[str, tuple[Callable[..., None], ...]] = {
    "Forecast": (
        forecasting.forecast_command,
        forecasting.update_command,
        drivers.compare_command,
        forecasting.backtest_command,
        frozen.freeze_command,
        frozen.score_command,
    ),
    "Fit": (
        fitting.calibrate_command,
        fitting.identify_command,
        fitting.sample_command,
        fitting.sbc_command,
        fitting.error_scales_command,
    ),
    "Analyse": (
        drivers.attribute_command,
        drivers.sensitivity_command,
        drivers.loops_command,
        choices.discover_command,
        choices.policy_command,
        choices.price_command,
    ),
    "Models and studies": (
        models.init_command,
        models.study_command,
        models.check_command,
        models.run_command,
        models.trace_command,
        models.diff_command,
        models.document_command,
        models.schemas_command,
    ),
    "Export": (
        pages.page_command,
        pages.app_command,
        pages.report_command,
        pages.export_command,
    ),
}
"""The commands as --help groups them."""

for _panel, _commands in _PANELS.items():
    for _command in _commands:
        _name = _command.__name__.removesuffix("_command").replace("_", "-")
        app.command(_name, rich_help_panel=_panel)(one_by_one(_command))


def main() -> None:
    """Run the command line; an error prints one sentence."""
    with speaking(sys.argv[1:]):
        _run()


def _run() -> None:
    try:
        try:
            with ends_soon_when_interrupted():
                spoken_command(app)()
        finally:
            sys.stdout.flush()  # what does not fit on the disk shows here, and not after the end
    except (SimulationError, CalibrationError) as problem:
        _fail(problem, 1)
    except BeltcastError as problem:
        _fail(problem, 2)
    except OSError as problem:
        if not _output_is_full(problem):
            raise
        _leave_quietly(problem)


def _output_is_full(problem: OSError) -> bool:
    """Whether an error is that of standard output: it names no file."""
    return problem.filename is None and problem.errno in (
        errno.EPIPE,
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EFBIG,
        errno.EIO,
    )


def _leave_quietly(problem: OSError) -> NoReturn:
    """End with code 1, and let Python not try once more to write what does not fit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if problem.errno != errno.EPIPE:  # who closes a pipe has read enough
        with suppress(OSError):
            say(f"beltcast: standard output cannot be written ({reason_of(problem)})", err=True)
    sys.exit(1)


def _fail(problem: BeltcastError, code: int) -> None:
    typer.echo(f"beltcast: {said_error(problem)}", err=True)
    sys.exit(code)
