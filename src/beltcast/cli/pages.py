"""Commands that export results: export, report, page and app."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from beltcast.cli.common import InLanguage, Run, Seed, progress, refuse_years
from beltcast.cli.language import language_of, say
from beltcast.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


Results = Annotated[
    Path | None,
    typer.Argument(help="A folder of results, or a study (.toml). Default: the shipped results."),
]
PageFile = Annotated[Path | None, typer.Option(help="HTML file to write. Default: runs/NAME.html.")]


def export_command(
    results: Annotated[
        Path, typer.Argument(help="A NetCDF file that beltcast wrote, or the store of a plan.")
    ],
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="iamc, csv, tables, xlsx, parquet or netcdf. Default: the ending of --output, "
            "else iamc.",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="File to write. Default: beside the results.")
    ] = None,
    members: Annotated[
        bool, typer.Option("--members", help="Also write variables kept for each member.")
    ] = False,
) -> None:
    """Export results: the IAMC format (which pyam opens), one long table, or a workbook.

    xlsx is a workbook with a sheet for each question (places, scenarios, drivers, observations)
    and a chart; tables is a folder with a CSV file for each. Beside calibration.csv and fit.csv the
    workbook has sheets of parameters and fit.

    For example:

        beltcast export runs/belt/forecast.nc

        beltcast export runs/belt/forecast.nc --output belt.xlsx

        beltcast export runs/belt-drivers/attribution.nc --format csv

        beltcast export ensemble.zarr --format csv
    """
    from beltcast.files.complete import complete_file, complete_folder
    from beltcast.reports.export import export, format_of, read_results
    from beltcast.scale.stream import summarise_store

    form = format_of(output, form)
    ending = {"iamc": ".iamc.csv", "netcdf": ".export.nc", "tables": ".tables"}
    path = output or results.with_suffix(ending.get(form, f".{form}"))
    if path.resolve() == results.resolve():
        raise InputError(f"'{path}' is the file to export; choose another name with --output")
    known = summarise_store(results) if results.is_dir() else read_results(results)
    if form == "tables":
        with complete_folder(path) as work:
            export(known, work, form, members=members, more=_estimates(results))
    else:
        with complete_file(path) as part:
            export(known, part, form, members=members, more=_estimates(results))
    say(f"Wrote {path}")


def _estimates(results: Path) -> dict[str, pd.DataFrame]:
    """Tables of estimates beside results: those of the same run."""
    import pandas as pd

    names = {"parameters": "calibration.csv", "fit": "fit.csv"}
    found = {sheet: results.with_name(name) for sheet, name in names.items()}
    return {sheet: pd.read_csv(path) for sheet, path in found.items() if path.is_file()}


def report_command(
    results: Results = None,
    place: Annotated[str, typer.Option(help="A place, or all.")] = "all",
    year: Annotated[int | None, typer.Option(help="Year of the drivers' shares.")] = None,
    language: InLanguage = None,
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
    from beltcast.forecasting.forecast_file import open_forecast
    from beltcast.reports.pdf import find_browser, print_pdf
    from beltcast.workflows.report import check_places, report

    chosen_language = language_of(language)
    if pdf:
        find_browser()  # a missing browser is reported before the work
    study, kept, forecast = open_forecast(results)
    check_places(study, place)
    refuse_years(study.model, {"--year": year})
    with complete_folder(output) as folder, progress() as tell:
        pages = report(
            study,
            kept,
            forecast,
            rng=Run(seed).streams,
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
    say(f"{len(reports)} reports" if len(reports) > 1 else "1 report")
    say(f"Wrote {output}/")


def page_command(
    results: Results = None,
    output: PageFile = None,
) -> None:
    """Write one HTML file with the model inside: move a lever and see the forecast move.

    The file needs nothing else: no network, no server, no Python. It works when opened from a
    folder, on a desktop computer or a phone, in English and Chinese.

    For example:

        beltcast page

        beltcast page runs/mine --output mine.html
    """
    path = _write_page(results, output)
    say(f"Wrote {path} ({path.stat().st_size / 1e6:.2f} MB)")


def app_command(
    results: Results = None,
    output: PageFile = None,
) -> None:
    """Write the page as `beltcast page` does and open it in the browser.

    For example:

        beltcast app

        beltcast app runs/mine
    """
    import webbrowser

    path = _write_page(results, output)
    say(f"Wrote {path}")
    if not webbrowser.open(path.resolve().as_uri()):
        say("No browser was found; open the file yourself.", err=True)


def _write_page(results: Path | None, output: Path | None) -> Path:
    from beltcast.app.page import page
    from beltcast.files.complete import complete_file
    from beltcast.forecasting.forecast_file import open_forecast
    from beltcast.inference.sampling.draws_file import results_folder
    from beltcast.study.study import study_name

    name = study_name(None) if results is None else results_folder(results).resolve().name
    path = output or Path("runs") / f"{name}.html"
    text = page(*open_forecast(results))
    path.parent.mkdir(parents=True, exist_ok=True)
    with complete_file(path) as part:
        part.write_text(text, encoding="utf-8")
    return path
