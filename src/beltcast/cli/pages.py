"""Commands that export results: export, report and app."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from beltcast.cli.common import Seed, progress, streams_of
from beltcast.errors import InputError, MissingExtra


def export_command(
    results: Annotated[
        Path, typer.Argument(help="A NetCDF file that beltcast wrote, or the store of a plan.")
    ],
    form: Annotated[str, typer.Option("--format", help="iamc, csv, parquet or netcdf.")] = "iamc",
    output: Annotated[
        Path | None, typer.Option(help="File to write. Default: beside the results.")
    ] = None,
) -> None:
    """Export results as a table: the IAMC format (which pyam opens), or one long table.

    For example:

        beltcast export runs/belt/forecast.nc

        beltcast export runs/belt-drivers/attribution.nc --format csv

        beltcast export ensemble.zarr --format csv
    """
    from beltcast.files.complete import complete_file
    from beltcast.reports.export import export, read_results
    from beltcast.scale.stream import summarise_store

    ending = {"iamc": ".iamc.csv", "netcdf": ".export.nc"}.get(form, f".{form}")
    path = output or results.with_suffix(ending)
    if path.resolve() == results.resolve():
        raise InputError(f"'{path}' is the file to export; choose another name with --output")
    known = summarise_store(results) if results.is_dir() else read_results(results)
    with complete_file(path) as part:
        export(known, part, form)
    typer.echo(f"Wrote {path}")


def report_command(
    results: Annotated[
        Path | None,
        typer.Argument(
            help="A folder of results, or a study (.toml). Default: the shipped results."
        ),
    ] = None,
    place: Annotated[str, typer.Option(help="A place, or all.")] = "all",
    year: Annotated[int, typer.Option(help="Year of the drivers' shares.")] = 2024,
    language: Annotated[str, typer.Option(help="en or zh.")] = "en",
    pdf: Annotated[bool, typer.Option("--pdf", help="Also print to PDF; needs chromium.")] = False,
    seed: Seed = 1,
    output: Annotated[Path, typer.Option(help="Folder for the reports.")] = Path("runs/report"),
) -> None:
    """Write a report on each place, each a self-contained HTML file.

    Uses the shipped draws, or those that `beltcast forecast` wrote to a folder.

    For example:

        beltcast report

        beltcast report runs/mine --place Foshan --pdf --output runs/foshan

        beltcast report --language zh
    """
    from beltcast.files.complete import complete_folder
    from beltcast.inference.sampling.draws_file import open_fit
    from beltcast.pictures.translations import checked_language
    from beltcast.reports.pdf import find_browser, print_pdf
    from beltcast.workflows.report import report

    chosen_language = checked_language(language)
    if pdf:
        find_browser()  # a missing browser is reported before the work
    study, kept = open_fit(results)
    with complete_folder(output) as folder, progress() as tell:
        pages = report(
            study,
            kept,
            rng=streams_of(seed),
            place=place,
            year=year,
            language=chosen_language,
            progress=tell,
        )
        for page in pages:
            (folder / page.file).write_text(page.html, encoding="utf-8")
            if pdf and page.place:
                print_pdf(folder / page.file, (folder / page.file).with_suffix(".pdf"))
        reports = [page for page in pages if page.place]
        lines = [f"{page.file}: {page.title}" for page in reports]
        (folder / "summary.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    typer.echo(f"{len(reports)} reports" if len(reports) > 1 else "1 report")
    typer.echo(f"Wrote {output}/")


def app_command(
    results: Annotated[
        Path | None,
        typer.Argument(
            help="A folder of results, or a study (.toml). Default: the shipped results."
        ),
    ] = None,
    port: Annotated[int, typer.Option(help="Port.", min=1, max=65535)] = 5006,
    address: Annotated[
        str, typer.Option(help="Address to bind; non-local addresses need --token.")
    ] = "127.0.0.1",
    token: Annotated[
        str | None,
        typer.Option(help="Token that the link must carry as ?token=...", envvar="BELTCAST_TOKEN"),
    ] = None,
    show: Annotated[bool, typer.Option(help="Open a browser.")] = True,
) -> None:
    """Explore a fitted model in the browser: belts, scenarios, levers, drivers.

    Needs results: the shipped ones, or a folder that `beltcast forecast` wrote. Needs the extra
    app.

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
