"""Commands that fit: calibrate, identify, sample, sbc."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group

from beltcast.cli.common import (
    AsJson,
    Output,
    Resume,
    Saved,
    Seed,
    Starts,
    StudyFile,
    calibrated,
    finish,
    fitted,
    folder_of,
    likelihood_of,
    open_study,
    progress,
    refuse_year,
    slug,
    streams_of,
    write_calibration,
)
from beltcast.errors import (
    InputError,
)

if TYPE_CHECKING:
    from beltcast.engine.nodes import IntArray
    from beltcast.inference.calibrate import Calibration
    from beltcast.inference.likelihood import Likelihood
    from beltcast.study.study import Study


def calibrate_command(
    study: StudyFile = None,
    starts: Starts = 64,
    method: Annotated[
        str, typer.Option(help="least_squares, minimize or differential_evolution.")
    ] = "least_squares",
    model: Annotated[
        Path | None, typer.Option(help="Instead of a study: a model (.mdl, .xmile),")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="a table (.csv) of times and values of its variables,")
    ] = None,
    priors: Annotated[
        Path | None,
        typer.Option(help="and priors (.toml), or Vensim's optimization control (.voc)."),
    ] = None,
    payoff: Annotated[
        Path | None, typer.Option(help="With --model: what is compared with what (.vpd).")
    ] = None,
    changes: Annotated[
        Path | None, typer.Option(help="With --model: other values of constants (.cin).")
    ] = None,
    seed: Seed = 1,
    resume: Resume = False,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Fit the parameters and write what the figures say about them.

    Leaves calibration.csv, fit.csv, optima.csv, history.csv (the cost of every evaluation of every
    start), calibration.json (what other commands begin with) and summary.txt. A stopped run leaves
    FOLDER.unfinished with the starts that it has refined; --resume goes on from there, with the
    same options and seed, to the same bits.

    For example:

        beltcast calibrate --starts 128 --output runs/fit

        beltcast calibrate mine/study.toml --method differential_evolution

        beltcast calibrate --model sir.mdl --data flu.csv --priors sir.voc
    """
    from beltcast.files.complete import complete_folder
    from beltcast.files.resume import keep_pieces, unfinished
    from beltcast.reports.json_output import calibration_facts

    if model is None and (data or priors or payoff or changes):
        raise InputError("--data, --priors, --payoff and --changes go with --model; add it")
    if model is not None and study is not None:
        raise InputError("a study and --model are given; keep one of them")
    if model is None:
        chosen = open_study(study)
        likelihood, hashes = likelihood_of(chosen), chosen.hashes
    else:
        likelihood = _own_likelihood(model, data, priors, payoff, changes, as_json)
        hashes = _file_hashes(model=model, data=data, priors=priors, payoff=payoff, changes=changes)
    place = folder_of(output, study or model, "-fit")
    options = {"starts": str(starts), "method": method, "seed": str(seed)}
    with complete_folder(place) as folder:
        pieces = keep_pieces(unfinished(place), {**hashes, **options}, resume=resume)
        with progress() as tell:
            fit = fitted(likelihood, streams_of(seed).fit, starts, tell, method, pieces)
        write_calibration(fit, folder, hashes)
        fit.clusters().to_csv(folder / "optima.csv", index=False, float_format="%.6g")
        fit.history().to_csv(folder / "history.csv", index=False, float_format="%.6g")
        page = _fit_summary(fit)
        (folder / "summary.txt").write_text(page + "\n", encoding="utf-8")
    pieces.discard()
    finish("calibrate", place, page, as_json, lambda: calibration_facts(fit))


PAIRS = 6
"""Pictures of confounded pairs, the strongest first."""


def identify_command(
    study: StudyFile = None,
    starts: Starts = 64,
    seed: Seed = 1,
    profiles: Annotated[
        int, typer.Option(help="Profile this many of the best known shared parameters.", min=0)
    ] = 6,
    year: Annotated[int, typer.Option(help="Year of the answer that is watched.")] = 2030,
    draws: Annotated[int, typer.Option(help="Draws of posterior and prior.", min=20)] = 400,
    posterior: Annotated[
        Path | None,
        typer.Option(help="Results of 'beltcast sample' to take all draws of the posterior from."),
    ] = None,
    sources: Annotated[
        int, typer.Option(help="Leave out each of this many sources with the most rows.", min=0)
    ] = 8,
    by: Annotated[str, typer.Option(help="Power-scale priors by role or by parameter.")] = "role",
    calibration: Saved = None,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Say what the figures can tell and what they cannot.

    Leaves spectrum.csv, confounded.csv, prior-pull.csv, left-out.csv (by definition),
    left-out-sources.csv, profiles.csv, contraction.csv (every answer that is shown),
    power-scaling.csv (which prior moves which answer), pictures and summary.txt; where belts are
    around a common mean, also shrinkage.csv.

    For example:

        beltcast identify --profiles 12 --output runs/identified

        beltcast identify --by parameter --sources 20 --draws 1000

        beltcast identify --posterior runs/belt-posterior
    """
    import pandas as pd

    from beltcast.drivers.answers import shown
    from beltcast.files.complete import complete_folder
    from beltcast.forecasting.summary import (
        answers_identified,
        as_text,
        identification,
        shared_parameters,
    )
    from beltcast.inference.audit import identify as ask
    from beltcast.inference.audit.contraction import contraction
    from beltcast.inference.audit.power_scaling import log_parts, power_scaling
    from beltcast.inference.audit.shrinkage import shrinkage, shrinkage_words
    from beltcast.inference.sampling.chain_files import load_posterior
    from beltcast.inference.sampling.posterior import sample as draw
    from beltcast.inference.sampling.posterior import sample_prior
    from beltcast.pictures import plots, plots_identified
    from beltcast.reports.json_output import calibration_facts, table_facts

    if by not in ("role", "parameter"):
        raise InputError(f"--by is '{by}'; expected role or parameter")
    chosen = open_study(study)
    refuse_year(chosen.model, year)
    # Opened before the fit, so that what cannot be opened costs no time.
    chains = load_posterior(posterior, chosen, likelihood_of(chosen)) if posterior else None
    rows = chosen.model.rows(chosen.target)
    streams = streams_of(seed)
    target = folder_of(output, study, "-identified")
    with complete_folder(target) as folder:
        with progress() as tell:
            fit = calibrated(chosen, streams.fit, starts, tell, calibration, study)
            known = ask.spectrum(fit)
            pairs = ask.confounded(fit)
            pull = ask.prior_pull(fit, ask.answer_gradient(fit, rows, year + 1.0))
            leave_out = partial(
                ask.leave_out,
                fit,
                answer=lambda other: ask.log_total(other, rows, year + 1.0),
                progress=tell,
            )
            figures = fit.likelihood.observations
            left_out = leave_out([row.definition for row in figures])
            by_source = leave_out([row.source for row in figures], most=sources)
            table = fit.table()
            shared = (
                shared_parameters(table, chosen.shown()).sort_values("spread_ratio").head(profiles)
            )
            found = ask.profiles(fit, list(shared.index), progress=tell)
            drawn = chains or draw(fit, draws, rng=streams.posterior, progress=tell)
            prior = sample_prior(fit.likelihood, draws, rng=streams.prior)
            tell("answers", 0, 2)
            answers = shown(chosen, drawn, years=[year], rng=streams)
            tell("answers", 1, 2)
            narrowed = contraction(answers, shown(chosen, prior, years=[year], rng=streams))
            tell("answers", 2, 2)
            kept = answers.sel(answer=narrowed.index)
            moved = power_scaling(kept, log_parts(drawn, by), rng=streams.permutation)
        page = identification(
            fit, known, pairs, pull, left_out, found, f"{chosen.target} of {year}"
        )
        nation = narrowed[narrowed["place"] == chosen.whole(chosen.target)]
        its_moves = moved.loc[list(nation.index)]
        page = Group(page, answers_identified(nation, its_moves, by_source, nation.index[0]))
        borrowed = shrinkage(fit)
        if len(borrowed):
            page = Group(page, "\n" + shrinkage_words(borrowed))
            borrowed.to_csv(folder / "shrinkage.csv", index=False, float_format="%.4g")
        directions = {f"direction {k + 1}": known.directions[:, k] for k in range(known.informed)}
        pd.DataFrame(directions, index=table.index).assign(informed_share=known.share()).to_csv(
            folder / "spectrum.csv", float_format="%.4g"
        )
        pairs.to_csv(folder / "confounded.csv", index=False, float_format="%.4g")
        pull.to_csv(folder / "prior-pull.csv", header=["posterior sd"], float_format="%.4g")
        left_out.to_csv(folder / "left-out.csv", float_format="%.4g")
        by_source.to_csv(folder / "left-out-sources.csv", float_format="%.4g")
        narrowed.to_csv(folder / "contraction.csv", float_format="%.4g")
        moved.to_csv(folder / "power-scaling.csv", float_format="%.4g")
        pd.concat(
            [
                pd.DataFrame(
                    {
                        "parameter": one.label,
                        "value": one.grid,
                        "figures": one.likelihood_rise,
                        "with prior": one.posterior_rise,
                    }
                )
                for one in found
            ]
            or [pd.DataFrame(columns=["parameter", "value", "figures", "with prior"])]
        ).to_csv(folder / "profiles.csv", index=False, float_format="%.6g")
        charts = {"waterfall": plots.starts_chart(fit), "contraction": plots.contraction_chart(fit)}
        outputs = narrowed[narrowed["quantity"] == "output"]
        charts["answers"] = plots_identified.answers_chart(pd.concat([outputs, nation[1:]]))
        charts["power-scaling"] = plots_identified.power_chart(its_moves)
        charts |= {
            f"pair-{slug(str(row.one))}-{slug(str(row.other))}": plots_identified.pair_chart(
                drawn, str(row.one), str(row.other)
            )
            for row in pairs.head(PAIRS).itertuples()
        }
        charts |= {f"profile-{slug(one.label)}": plots.profile_chart(one) for one in found}
        for name, chart in charts.items():
            plots.save(chart, folder / f"{name}.png")
        (folder / "summary.txt").write_text(as_text(page), encoding="utf-8")
    tables = {
        "confounded": pairs,
        "prior_pull": pull.to_frame("posterior sd"),
        "left_out": left_out,
        "left_out_sources": by_source,
        "answers": narrowed,
        "power_scaling": moved,
        "shrinkage": borrowed,
    }
    finish(
        "identify",
        target,
        page,
        as_json,
        lambda: {
            **calibration_facts(fit),
            "informed_directions": known.informed,
            **{name: table_facts(table) for name, table in tables.items()},
        },
    )


def sample_command(
    study: StudyFile = None,
    chains: Annotated[int, typer.Option(help="Chains.", min=1)] = 4,
    draws: Annotated[int, typer.Option(help="Draws of each chain.", min=4)] = 1000,
    method: Annotated[
        str, typer.Option(help="walkers (values only), or nuts (gradients; small models).")
    ] = "walkers",
    every: Annotated[
        int | None,
        typer.Option(help="Moves between draws; 3 for 2 parameters by default, at least 10."),
    ] = None,
    burn_in: Annotated[
        int | None, typer.Option(help="Moves before; 30 for each parameter, of nuts 400 steps.")
    ] = None,
    starts: Starts = 64,
    seed: Seed = 1,
    resume: Resume = False,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Draw from the posterior by Markov chains, and say whether they have mixed.

    Leaves posterior.nc (groups that ArviZ opens), diagnostics.csv (R-hat and effective draws of
    every unknown) and summary.txt. A stopped run leaves FOLDER.unfinished.npz; --resume goes on
    from there, with the same options and seed.

    For example:

        beltcast sample

        beltcast sample --resume

        beltcast sample mine/study.toml --method nuts --draws 500
    """
    from beltcast.files.complete import complete_folder
    from beltcast.inference.sampling.chain_files import (
        POSTERIOR_FILE,
        load_unfinished,
        posterior_groups,
        save_groups,
        save_unfinished,
    )
    from beltcast.inference.sampling.chains import SAMPLING_METHODS, sample_chains
    from beltcast.reports.json_output import table_facts

    known = next((m for m in SAMPLING_METHODS if m == method), None)
    if known is None:
        raise InputError(
            f"unknown method '{method}'; expected one of {', '.join(SAMPLING_METHODS)}"
        )
    target = folder_of(output, study, "-posterior")
    kept = target.with_name(f"{target.name}.unfinished.npz")
    before = load_unfinished(kept) if resume else None
    chosen = open_study(study)
    streams = streams_of(seed)
    with complete_folder(target) as folder:
        with progress() as tell:
            result = sample_chains(
                calibrated(chosen, streams.fit, starts, tell),
                rng=streams.chains,
                chains=chains,
                draws=draws,
                method=known,
                every=every,
                burn_in=burn_in,
                resume=before,
                keep=partial(save_unfinished, path=kept),
                progress=tell,
            )
        provenance = {"seed": str(seed), **chosen.provenance()}
        groups = posterior_groups(result, rng=streams.prior, provenance=provenance)
        save_groups(groups, folder / POSTERIOR_FILE)
        result.table().to_csv(folder / "diagnostics.csv", float_format="%.5g")
        page = result.words()
        (folder / "summary.txt").write_text(page + "\n", encoding="utf-8")
    kept.unlink(missing_ok=True)
    finish(
        "sample",
        target,
        page,
        as_json,
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
        int | None, typer.Option(help="Moves of each walker before it is drawn from.", min=1)
    ] = None,
    year: Annotated[int, typer.Option(help="Year of the answers that are ranked too.")] = 2030,
    seed: Seed = 1,
    resume: Resume = False,
    output: Annotated[Path, typer.Option(help="NetCDF file to write.")] = Path("sbc.nc"),
    as_json: AsJson = False,
) -> None:
    """Check the inference: does it recover what made synthetic figures? (Talts and others 2018).

    The figures have the shape of the study's own; answers of a year are ranked with the unknowns.
    The file holds the finished sets at any time; --resume goes on with them. A picture of all ranks
    is left beside it. With all parameters of the belt study a set takes half a minute or more.

    For example:

        beltcast sbc --parameter "Traffic Elasticity" --parameter "AVE per Day" --sets 50
    """
    import xarray as xr

    from beltcast.inference.audit.sbc import (
        Asked,
        sbc_verdict,
        simulation_based_calibration,
        uniformity,
    )
    from beltcast.inference.likelihood import make_likelihood
    from beltcast.inference.sampling.chain_files import save_dataset
    from beltcast.pictures.plots import save
    from beltcast.pictures.plots_ranks import rank_chart
    from beltcast.reports.json_output import table_facts

    chosen = open_study(study)
    refuse_year(chosen.model, year)
    priors = chosen.priors.subset(parameter) if parameter else chosen.priors
    likelihood = make_likelihood(chosen.model, priors, chosen.observations, chosen.noise)
    done = None
    if resume:
        try:
            done = xr.load_dataset(output, engine="netcdf4")
        except OSError:
            raise InputError(
                f"there are no finished sets in '{output}'; start anew without --resume"
            ) from None

    def write(result: xr.Dataset) -> None:
        save_dataset(result.assign_attrs(seed=str(seed), **chosen.provenance()), output)

    with progress() as tell:
        result = simulation_based_calibration(
            likelihood,
            sets=sets,
            rng=streams_of(seed),
            burn_in=burn_in,
            asked=Asked(_rows_by_place(chosen), year),
            done=done,
            keep=write,
            progress=tell,
        )
    write(result)
    save(rank_chart(result), output.with_suffix(".png"))
    finish(
        "sbc",
        output,
        sbc_verdict(result),
        as_json,
        lambda: {"sets": result.sizes["set"], "unknowns": table_facts(uniformity(result))},
    )


def _rows_by_place(study: Study) -> dict[str, IntArray]:
    """Rows of the program that are a study's target: of all places together, and of each."""
    rows = study.model.rows(study.target)
    (dimension,) = study.model.find(study.target).dims
    each = {name: rows[[i]] for i, name in enumerate(study.model.subscripts[dimension])}
    return {study.whole(study.target): rows, **each}


def _own_likelihood(
    model: Path,
    data: Path | None,
    priors: Path | None,
    payoff: Path | None,
    changes: Path | None,
    as_json: bool,
) -> Likelihood:
    """Likelihood of a model, a table and priors that are no study; says what is assumed."""
    from beltcast.inference.likelihood import make_likelihood
    from beltcast.model.model import load_model
    from beltcast.model.variants import move
    from beltcast.study.priors_file import read_priors
    from beltcast.study.series import read_series
    from beltcast.study.vensim_files import read_cin, read_voc, read_vpd

    if data is None or priors is None:
        raise InputError("--model needs figures and priors; add --data and --priors")
    loaded = load_model(model)
    if changes is not None:
        loaded = move(loaded, read_cin(changes, loaded))
    compared = () if payoff is None else read_vpd(payoff, loaded)
    series = read_series(data, loaded, payoff=compared)
    searched = (read_voc if priors.suffix.lower() == ".voc" else read_priors)(priors, loaded)
    for sentence in series.assumed:
        typer.echo(f"assumed: {sentence}", err=as_json)
    return make_likelihood(loaded, searched, series.observations, series.noise)


def _file_hashes(**paths: Path | None) -> Mapping[str, str]:
    from beltcast.files.text import read_text

    return {
        name: read_text(path, InputError).sha256 for name, path in paths.items() if path is not None
    }


def _fit_summary(fit: Calibration) -> str:
    from beltcast.inference.audit.shrinkage import shrinkage, shrinkage_words

    table = fit.table()
    words = table["verdict"].value_counts()
    lines = [
        f"cost {fit.cost:.2f}; {fit.agreeing} of {len(fit.refined)} refined starts agree; "
        + ", ".join(f"{count} {word}" for word, count in words.items()),
    ]
    others = fit.clusters().iloc[1:]
    if len(others):
        rises = ", ".join(f"{c:.2f}" for c in others["cost"] - fit.cost)
        lines.append(f"{len(others)} other optima, higher in cost by {rises}: see optima.csv")
    if fit.at_bound:
        lines.append("at a bound of its prior: " + ", ".join(fit.at_bound))
    lines.append("")
    header = f"{'parameter':34s} {'prior':>28s} {'posterior':>28s}  ratio"
    lines.append(header)
    for label, row in table.iterrows():
        prior = f"{row.prior_median:.3g} ({row.prior_p10:.3g} to {row.prior_p90:.3g})"
        after = f"{row['median']:.3g} ({row.p10:.3g} to {row.p90:.3g})"
        says = f"{row.spread_ratio:.2f} {row.verdict}"
        lines.append(f"{label!s:34s} {prior:>28s} {after:>28s}  {says}")
    borrowed = shrinkage_words(shrinkage(fit))
    return "\n".join([*lines, "", borrowed] if borrowed else lines)
