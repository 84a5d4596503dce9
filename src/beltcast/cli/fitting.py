"""Commands that fit and check a fit: calibrate, identify, sample, error-scales and sbc."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from beltcast.cli.common import (
    AsJson,
    InLanguage,
    LongRun,
    OwnFiles,
    Resume,
    Run,
    Saved,
    Seed,
    Starts,
    StudyFile,
    open_study,
    progress,
    refuse_years,
    save,
)
from beltcast.cli.language import language_of
from beltcast.errors import InputError


def calibrate_command(
    study: StudyFile = None,
    starts: Starts = 64,
    method: Annotated[
        str, typer.Option(help="least_squares or differential_evolution.")
    ] = "least_squares",
    refine: Annotated[
        int | None,
        typer.Option(help="Starts to refine. Default: until hardly any optimum is missed.", min=1),
    ] = None,
    language: InLanguage = None,
    *,
    own: OwnFiles,
    run: LongRun,
) -> None:
    """Fit the model to the observations and write each estimate beside its prior.

    Writes calibration.csv, fit.csv, optima.csv, history.csv (the cost of every evaluation),
    calibration.json (which other commands read with --calibration), fit.png (published against
    fitted numbers) and summary.txt; of a small model also estimates.csv (best fit with standard
    errors) and columns.csv (RMSE, R2, Theil's U), and fit.png shows observations over time with
    predictive bands and residuals. A stopped run
    leaves FOLDER.unfinished with the starts that it has refined; --resume with the same options and
    seed continues it and gives the same result to the last bit.

    For example:

        beltcast calibrate --starts 128 --output runs/fit

        beltcast calibrate mine/study.toml --method differential_evolution

        beltcast calibrate --model sir.mdl --data flu.csv --priors sir.voc

        beltcast calibrate --model kinetics.mdl --data lab.csv --priors k.toml --integration stiff
    """
    from beltcast.reports.json_output import calibration_facts
    from beltcast.workflows.calibrate import CalibrateOptions, calibrate_study

    options, spoken = CalibrateOptions(starts, refine, method), language_of(language)
    chosen = own.or_study(study, run.as_json)
    place = run.folder(study or own.model, "-fit")
    with run.results(place) as (folder, tell):
        pieces = run.pieces(
            chosen, place, fit=options, integration=own.integration, rtol=own.rtol, atol=own.atol
        )
        found = calibrate_study(chosen, options, rng=run.streams, pieces=pieces, progress=tell)
        found.save(folder)
        page = found.page(spoken)
        save(folder, page)
    pieces.discard()
    run.finish("calibrate", place, page, lambda: calibration_facts(found.fit))


def identify_command(
    study: StudyFile = None,
    starts: Starts = 64,
    profiles: Annotated[
        int,
        typer.Option(help="Number of shared parameters to profile, the best known first.", min=0),
    ] = 6,
    year: Annotated[int | None, typer.Option(help="Year of the answers.")] = None,
    draws: Annotated[int, typer.Option(help="Draws of the posterior and the prior.", min=20)] = 400,
    posterior: Annotated[
        Path | None,
        typer.Option(help="Results of 'beltcast sample' to use as draws of the posterior."),
    ] = None,
    sources: Annotated[
        int,
        typer.Option(
            help="Number of sources to leave out, one at a time, the largest first.", min=0
        ),
    ] = 8,
    by: Annotated[str, typer.Option(help="Power-scale priors by role or by parameter.")] = "role",
    calibration: Saved = None,
    *,
    own: OwnFiles,
    run: Run,
) -> None:
    """Find what the observations determine and what they do not.

    Writes spectrum.csv, confounded.csv, prior-pull.csv, left-out.csv (by definition),
    left-out-sources.csv, profiles.csv, contraction.csv (each reported answer), power-scaling.csv
    (which prior changes which answer), charts and summary.txt; for places with a common mean also
    shrinkage.csv, for a study with contrasts drivers.csv (each driver under the priors, with the
    data and with the contrasts).

    For example:

        beltcast identify --profiles 12 --output runs/identified

        beltcast identify --by parameter --sources 20 --draws 1000

        beltcast identify --posterior runs/belt-posterior

        beltcast identify --model sir.mdl --data flu.csv --priors sir.toml
    """
    from beltcast.inference.assemble import likelihood_of
    from beltcast.inference.sampling.chain_files import load_posterior
    from beltcast.reports.json_output import calibration_facts, table_facts
    from beltcast.workflows.draws import FitOptions, fit_study
    from beltcast.workflows.identify import IdentifyOptions, identify, save_identification

    if by not in ("role", "parameter"):
        raise InputError(f"--by is '{by}'; expected role or parameter")
    chosen = own.or_study(study, run.as_json)
    if chosen.target:
        year = chosen.years.answer if year is None else year
        refuse_years(chosen.model, {"--year": year})
    # Opened before the fit, so that a file that cannot be read costs no time.
    chains = load_posterior(posterior, chosen, likelihood_of(chosen)) if posterior else None
    options = IdentifyOptions(year, draws, profiles, sources, by)
    fitting = FitOptions(starts=starts, calibration=calibration, study=study)
    streams = run.streams
    target = run.folder(study or own.model, "-identified")
    with run.results(target) as (folder, tell):
        fit = fit_study(chosen, fitting, rng=streams.fit, progress=tell)
        found = identify(chosen, fit, options, rng=streams, posterior=chains, progress=tell)
        save_identification(found, folder)
    run.finish(
        "identify",
        target,
        found.page(),
        lambda: {
            **calibration_facts(fit),
            "informed_directions": found.spectrum.informed,
            **{name: table_facts(table) for name, table in found.tables().items()},
        },
    )


def sample_command(
    study: StudyFile = None,
    chains: Annotated[int, typer.Option(help="Chains.", min=1)] = 4,
    draws: Annotated[int, typer.Option(help="Draws per chain.", min=4)] = 1000,
    method: Annotated[
        str | None,
        typer.Option(
            help="walkers (needs no gradients), or nuts (gradients), the default for at most 20 "
            "unknowns where nutpie is installed."
        ),
    ] = None,
    every: Annotated[
        int | None,
        typer.Option(help="Moves between draws. Default: 3 for 2 parameters, at least 10."),
    ] = None,
    burn_in: Annotated[
        int | None,
        typer.Option(help="Moves before the first draw. Default: 30 per parameter; nuts: 400."),
    ] = None,
    starts: Starts = 64,
    *,
    own: OwnFiles,
    run: LongRun,
) -> None:
    """Sample the posterior with Markov chains and check that they have converged.

    Writes posterior.nc (groups that ArviZ opens), diagnostics.csv (R-hat and effective sample size
    of each unknown) and summary.txt, which ends with leave-one-out cross-validation; with --model
    also fit.png (observations with predictive bands, residuals). A stopped run leaves
    FOLDER.unfinished.npz; --resume with the same options and seed continues it.

    For example:

        beltcast sample

        beltcast sample --resume

        beltcast sample mine/study.toml --method nuts --draws 500

        beltcast sample --model sir.mdl --data flu.csv --priors sir.toml
    """
    from beltcast.inference.sampling.chain_files import load_unfinished, save_unfinished
    from beltcast.inference.sampling.sampler import SampleOptions
    from beltcast.reports.json_output import table_facts
    from beltcast.workflows.draws import FitOptions
    from beltcast.workflows.sample import sample_study

    options = SampleOptions(chains, draws, method, every, burn_in)
    target = run.folder(study or own.model, "-posterior")
    kept = target.with_name(f"{target.name}.unfinished.npz")
    before = load_unfinished(kept) if run.resume else None
    chosen = own.or_study(study, run.as_json)
    with run.results(target) as (folder, tell):
        found = sample_study(
            chosen,
            options,
            FitOptions(starts=starts),
            rng=run.streams,
            resume=before,
            keep=partial(save_unfinished, path=kept),
            progress=tell,
        )
        found.save(folder, picture=own.model is not None)
        page = found.page()
        save(folder, page)
    kept.unlink(missing_ok=True)
    result = found.chains
    run.finish(
        "sample",
        target,
        page,
        lambda: {
            "method": result.method,
            "acceptance": result.acceptance,
            "evaluations": result.evaluations,
            "diagnostics": table_facts(result.table()),
        },
    )


def sbc_command(
    study: StudyFile = None,
    sets: Annotated[int, typer.Option(help="Synthetic data sets.", min=10)] = 200,
    parameter: Annotated[
        list[str] | None, typer.Option(help="Only these parameters, by their labels.")
    ] = None,
    burn_in: Annotated[
        int | None, typer.Option(help="Moves of each walker before its first draw.", min=1)
    ] = None,
    year: Annotated[
        int | None, typer.Option(help="Year of the answers that are ranked too.")
    ] = None,
    seed: Seed = 1,
    resume: Resume = False,
    output: Annotated[Path, typer.Option(help="NetCDF file to write.")] = Path("sbc.nc"),
    as_json: AsJson = False,
    *,
    own: OwnFiles,
) -> None:
    """Check the inference by simulation-based calibration (Talts and others 2018).

    Draws unknowns from the priors, simulates observations like those of the study, fits them, and
    ranks the true values among the draws of the posterior; the answers of one year are ranked too.
    The file always holds the finished sets, and --resume continues with the others. Also writes a
    chart of the ranks. With all parameters of the belt study a set takes half a minute or more.

    For example:

        beltcast sbc --parameter "Traffic Elasticity" --parameter "AVE per Day" --sets 50

        beltcast sbc --model sir.mdl --data flu.csv --priors sir.toml --sets 50
    """
    from beltcast.display.lines import save_chart
    from beltcast.inference.audit.sbc import sbc_verdict, uniformity
    from beltcast.pictures.plots_ranks import rank_chart
    from beltcast.reports.json_output import table_facts
    from beltcast.workflows.sbc import SbcOptions, sbc_study

    run = Run(seed, output, as_json)
    chosen = own.or_study(study, as_json)
    if chosen.target:
        refuse_years(chosen.model, {"--year": year})
    options = SbcOptions(sets, tuple(parameter or ()), burn_in, year)
    with progress() as tell:
        result = sbc_study(
            chosen, options, rng=run.streams, file=output, resume=resume, progress=tell
        )
    save_chart(rank_chart(result), output.with_suffix(".png"))
    run.finish(
        "sbc",
        output,
        sbc_verdict(result),
        lambda: {"sets": result.sizes["set"], "unknowns": table_facts(uniformity(result))},
    )


def error_scales_command(
    study: StudyFile = None,
    sd: Annotated[
        float | None,
        typer.Option(help="Prior sd of the logs of the factors. Default: that of the study."),
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(help="Group rows by grade, kind or scope. Default: as the study does."),
    ] = None,
    starts: Starts = 64,
    *,
    run: Run,
) -> None:
    """Estimate the sizes of observation errors, with all other unknowns integrated out.

    Writes error-scales.csv and summary.txt, whose last line can be copied into the study. The study
    itself is not changed.

    For example:

        beltcast error-scales

        beltcast error-scales mine/study.toml --by grade --by kind
    """
    from beltcast.inference.audit.error_scales import error_scales, with_error_scales
    from beltcast.reports.json_output import table_facts

    chosen = open_study(study)
    if unknown := set(by or ()) - {"grade", "kind", "scope"}:
        raise InputError(f"--by has '{min(unknown)}'; expected grade, kind or scope")
    asked = with_error_scales(chosen, sd=sd, by=tuple(by or ()))
    target = run.folder(study, "-error-scales")
    with run.results(target) as (folder, tell):
        found = error_scales(asked, rng=run.streams.fit, starts=starts, progress=tell)
        found.table.to_csv(folder / "error-scales.csv", float_format="%.5g")
        save(folder, found.words())
    run.finish(
        "error-scales",
        target,
        found.words(),
        lambda: {"gain": found.gain, "error_scales": table_facts(found.table)},
    )
