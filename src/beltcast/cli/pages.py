"""Commands that hand on results: export, report, app."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from beltcast.cli.common import (
    Seed,
    progress,
    slug,
    streams_of,
)
from beltcast.errors import (
    InputError,
    MissingExtra,
    did_you_mean,
)


def export_command(
    results: Annotated[
        Path, typer.Argument(help="A NetCDF file that beltcast wrote, or the store of a plan.")
    ],
    form: Annotated[str, typer.Option("--format", help="iamc, csv, parquet or netcdf.")] = "iamc",
    output: Annotated[
        Path | None, typer.Option(help="File to write; beside the results by default.")
    ] = None,
) -> None:
    """Write results as a table: the IAMC format (pyam opens it), or one long table.

    For example:

        beltcast export runs/belt/forecast.nc

        beltcast export runs/belt-drivers/attribution.nc --format csv

        beltcast export ensemble.zarr --format csv
    """
    import xarray as xr

    from beltcast.files.complete import complete_file
    from beltcast.reports.export import save_table

    ending = {"iamc": ".iamc.csv", "netcdf": ".export.nc"}.get(form, f".{form}")
    path = output or results.with_suffix(ending)
    if path.resolve() == results.resolve():
        raise InputError(f"'{path}' is what is to be exported; choose another name with --output")
    if results.is_dir():
        from beltcast.scale.stream import summarise_store

        with complete_file(path) as part:
            save_table(summarise_store(results), part, form)
        typer.echo(f"Written {path}")
        return
    try:
        with xr.open_dataset(results, engine="netcdf4") as opened:
            known = opened.load()
    except OSError as problem:
        reason = (problem.strerror or "not a NetCDF file").lower()
        given = problem.filename or results
        raise InputError(f"'{given}': {reason}; give a file of results") from None
    with complete_file(path) as part:
        save_table(known, part, form)
    typer.echo(f"Written {path}")


def report_command(
    results: Annotated[
        Path | None,
        typer.Argument(help="A folder of results, or a study (.toml); what ships by default."),
    ] = None,
    place: Annotated[str, typer.Option(help="A place, or all.")] = "all",
    year: Annotated[int, typer.Option(help="Year of the drivers' shares.")] = 2024,
    language: Annotated[str, typer.Option(help="en or zh.")] = "en",
    pdf: Annotated[bool, typer.Option("--pdf", help="Also print to PDF; needs chromium.")] = False,
    seed: Seed = 1,
    output: Annotated[Path, typer.Option(help="Folder of the reports.")] = Path("runs/report"),
) -> None:
    """Write a report of each place, one HTML file that needs nothing else.

    Uses the draws that ship, or those that `beltcast forecast` left in a folder.

    For example:

        beltcast report

        beltcast report runs/mine --place Foshan --pdf --output runs/foshan

        beltcast report --language zh
    """
    from beltcast.drivers.attribution.attribute import attribute as make_attribution
    from beltcast.errors import quoted
    from beltcast.files.complete import complete_folder
    from beltcast.forecasting.forecast import forecast_draws
    from beltcast.inference.sampling.draws_file import open_fit
    from beltcast.inference.sampling.posterior import sample_prior
    from beltcast.pictures.translations import checked_language
    from beltcast.reports.pdf import find_browser, print_pdf
    from beltcast.reports.place_report import Evidence, index_page, place_report

    speech = checked_language(language)
    if pdf:
        find_browser()  # a missing browser is said before the work
    study, kept = open_fit(results)
    places = study.shown()
    if place not in ("all", *places):
        raise InputError(f"there is no place {quoted(place)}{did_you_mean(place, places)}")
    streams = streams_of(seed)
    prior = sample_prior(kept.posterior.likelihood, len(kept.posterior), rng=streams.prior)
    with complete_folder(output) as folder, progress() as tell:
        made = forecast_draws(
            study, kept.posterior, prior, kept.optimum, rng=streams, progress=tell
        )
        shares = (
            make_attribution(
                study,
                kept.posterior,
                prior=prior,
                progress=tell,
            )
            if study.roles.switches
            else None
        )
        evidence = Evidence(study, made, shares, kept.estimates())
        files = _files(places if place == "all" else [place])
        for number, (name, file) in enumerate(files):
            page = place_report(evidence, name, year=year, language=speech)
            (folder / file).write_text(page, encoding="utf-8")
            if pdf:
                print_pdf(folder / file, (folder / file).with_suffix(".pdf"))
            tell("reports", number + 1, len(files))
        if len(files) > 1:
            page = index_page(evidence, files, language=speech)
            (folder / "index.html").write_text(page, encoding="utf-8")
        lines = [f"{file}: {study.title_of(name, speech)}" for name, file in files]
        (folder / "summary.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    typer.echo(f"{len(files)} reports" if len(files) > 1 else "1 report")
    typer.echo(f"Written to {output}/")


def app_command(
    results: Annotated[
        Path | None,
        typer.Argument(help="A folder of results, or a study (.toml); what ships by default."),
    ] = None,
    port: Annotated[int, typer.Option(help="Port.", min=1, max=65535)] = 5006,
    address: Annotated[
        str, typer.Option(help="Whom to listen to; others than this machine need a token.")
    ] = "127.0.0.1",
    token: Annotated[
        str | None,
        typer.Option(help="What the link must carry as ?token=...", envvar="BELTCAST_TOKEN"),
    ] = None,
    show: Annotated[bool, typer.Option(help="Open a browser.")] = True,
) -> None:
    """Open a page in the browser that asks a fitted model: belts, scenarios, levers, drivers.

    Needs results: those that ship, or a folder that `beltcast forecast` left. Needs the extra app.

    For example:

        beltcast app

        beltcast app runs/mine --port 8000 --no-show
    """
    try:
        from beltcast.app.server import check_port, checked_token, serve
    except ModuleNotFoundError as missing:
        if missing.name not in ("panel", "bokeh"):
            raise
        raise MissingExtra(
            "the app needs Panel, which is not installed; install it with "
            "pip install 'beltcast[app]'"
        ) from None
    from beltcast.app.results import open_results

    secret = checked_token(address, token)
    check_port(address, port)  # before the results, which take seconds to open
    opened = open_results(results)
    query = f"?token={secret}" if secret else ""
    typer.echo(f"Serving http://{address}:{port}/{query} until Ctrl+C")
    serve(opened, address=address, port=port, token=secret or None, show=show)


def _files(places: Sequence[str]) -> list[tuple[str, str]]:
    """Each place with a file name of its own, also where two names differ by signs only."""
    files: dict[str, str] = {}
    for place in places:
        name, number = slug(place), 1
        while f"{name}.html" in files.values():
            number += 1
            name = f"{slug(place)}-{number}"
        files[place] = f"{name}.html"
    return list(files.items())
