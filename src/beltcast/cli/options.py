"""Arguments and options that several commands share, each said once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

StudyFile = Annotated[
    Path | None,
    typer.Argument(help="A study (.toml, or a folder of one); the shipped belt study by default."),
]
OwnScenarios = Annotated[
    Path | None, typer.Option(help="Scenarios (.toml) of your own; the study's by default.")
]
OnlyScenarios = Annotated[
    list[str] | None, typer.Option(help="Only these scenarios; the first one stays.")
]
Seed = Annotated[int, typer.Option(help="Seed of all random numbers.")]
Starts = Annotated[int, typer.Option(help="Starts of the calibration.", min=1)]
Saved = Annotated[
    Path | None,
    typer.Option(help="Results of 'beltcast calibrate' to begin with, instead of a new fit."),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with a stopped run.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Output = Annotated[Path | None, typer.Option(help="Folder of the results; runs/NAME by default.")]
