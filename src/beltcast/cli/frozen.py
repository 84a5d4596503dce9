"""Commands for frozen forecasts: freeze and score."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from beltcast.cli.common import (
    AsJson,
    Output,
    Run,
    Seed,
    Starts,
    StudyFile,
    open_study,
    refuse_years,
    save,
)
from beltcast.cli.language import spoken

if TYPE_CHECKING:
    from beltcast.study.study import Study


def freeze_command(
    study: StudyFile = None,
    year: Annotated[
        int | None, typer.Option(help="Year to forecast. Default: that of the last publication.")
    ] = None,
    draws: Annotated[int, typer.Option(help="Draws of each forecaster.", min=2)] = 400,
    starts: Starts = 16,
    moves: Annotated[int, typer.Option(help="Metropolis moves per draw.", min=0)] = 100,
    seed: Seed = 1,
    output: Annotated[
        Path | None, typer.Option(help="File to write (.nc). Default: a file in runs/.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Freeze a forecast of the observations to come in a year, with its baselines and hashes.

    Forecasts every observation of the year that the series of the study lead to expect: parts of
    the year, the year, first and final releases, and every belt. A frozen forecast is never
    replaced. Score it with `beltcast score` when the observations are published.

    For example:

        beltcast freeze --output calibration/frozen/2026.nc

        beltcast freeze mine/study.toml --year 2027
    """
    from beltcast.reports.json_output import dataset_facts
    from beltcast.verification.backtest import Settings
    from beltcast.verification.frozen import freeze, save_frozen
    from beltcast.verification.frozen_text import summarise_frozen

    chosen = open_study(study)
    refuse_years(chosen.model, {"--year": year})
    settings = Settings(draws=draws, starts=starts, moves=moves, seed=seed)
    frozen = freeze(chosen, year=year, settings=settings)
    ending = f"-frozen-{int(frozen['year'].values[0])}.nc"
    run = Run(output=output, as_json=as_json)
    path = output or run.folder(study, ending)
    save_frozen(frozen, path)
    facts = frozen.drop_vars("forecast")
    page = summarise_frozen(frozen, units=_units(chosen), language=spoken())
    run.finish("freeze", path, page, lambda: dataset_facts(facts))


def score_command(
    frozen: Annotated[Path, typer.Argument(help="A file that `beltcast freeze` wrote.")],
    rows: Annotated[Path, typer.Argument(help="Observations (.csv), with the study's columns.")],
    study: StudyFile = None,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Score a frozen forecast and its baselines on observations that were published later.

    Prints for each row the CRPS of logs, z (standard deviations from the mean of the log) and
    whether it lies in the 80 % band, then the mean scores of every forecaster. Writes scores.csv
    and summary.txt. Rows whose scope, period and vintage were not frozen are named and left out.

    For example:

        beltcast score calibration/frozen/2026.nc new-rows.csv
    """
    from beltcast.files.complete import complete_folder
    from beltcast.reports.json_output import table_facts
    from beltcast.study.observations_file import read_observations
    from beltcast.verification.frozen import read_frozen, score
    from beltcast.verification.frozen_text import forecaster_table, summarise_score

    chosen = open_study(study)
    known = read_frozen(frozen)
    new = read_observations(rows, chosen.model, chosen.places, usd_cny=chosen.usd_cny)
    scored = score(known, new)
    run = Run(output=output, as_json=as_json)
    target = run.folder(study, "-scored")
    page = summarise_score(scored, units=_units(chosen), language=spoken())
    with complete_folder(target) as folder:
        table = scored.scores.drop_dims("level").to_dataframe()
        table.to_csv(folder / "scores.csv", float_format="%.6g")
        save(folder, page)
    facts = {"forecasters": table_facts(forecaster_table(scored))}
    run.finish("score", target, page, lambda: facts)


def _units(study: Study) -> dict[str, str]:
    """Unit of each variable of the model."""
    return {name: variable.unit for name, variable in study.model.variables.items()}
