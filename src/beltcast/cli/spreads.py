"""The command that estimates how wide the errors of figures are."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from beltcast.cli.common import (
    AsJson,
    Output,
    Seed,
    Starts,
    StudyFile,
    finish,
    folder_of,
    likelihood_of,
    open_study,
    progress,
    streams_of,
)
from beltcast.errors import InputError


def spreads_command(
    study: StudyFile = None,
    sd: Annotated[
        float | None, typer.Option(help="Prior spread of the logs of factors; else the study's.")
    ] = None,
    by: Annotated[
        list[str] | None, typer.Option(help="grade, kind or both; else the study's.")
    ] = None,
    starts: Starts = 64,
    seed: Seed = 1,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Estimate how wide the errors of published figures are, all other unknowns integrated out.

    Leaves spreads.csv and summary.txt, whose last line is what to write into the study. The study
    itself is left as it is.

    For example:

        beltcast spreads

        beltcast spreads mine/study.toml --by grade --by kind
    """
    from beltcast.files.complete import complete_folder
    from beltcast.inference.audit.error_scales import PRIOR_SD, estimate_spreads
    from beltcast.reports.json_output import table_facts

    chosen = open_study(study)
    noise = chosen.noise
    told_apart = tuple(dict.fromkeys(by)) if by else noise.spread_by
    if unknown := set(told_apart) - {"grade", "kind"}:
        raise InputError(f"--by has '{min(unknown)}'; expected grade, kind or both")
    wide = sd if sd is not None else noise.spread_sd or PRIOR_SD
    asked = dataclasses.replace(noise, spread_sd=wide, spread_by=told_apart, spread_factors={})
    target = folder_of(output, study, "-spreads")
    with complete_folder(target) as folder:
        with progress() as tell:
            found = estimate_spreads(
                likelihood_of(dataclasses.replace(chosen, noise=asked)),
                rng=streams_of(seed).fit,
                starts=starts,
                progress=tell,
            )
        found.table.to_csv(folder / "spreads.csv", float_format="%.5g")
        (folder / "summary.txt").write_text(found.words() + "\n", encoding="utf-8")
    finish(
        "spreads",
        target,
        found.words(),
        as_json,
        lambda: {"gain": found.gain, "spreads": table_facts(found.table)},
    )
