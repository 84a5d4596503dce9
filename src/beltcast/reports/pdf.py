"""Print a report to PDF with an installed browser."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from beltcast.errors import BeltcastError, MissingExtra

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
"""Browsers that print with the same options, under their names on different systems."""

SECONDS = 120
"""Seconds after which the browser counts as hanging; a page prints in a few."""


def print_pdf(html: Path, pdf: Path) -> None:
    """Print an HTML file to PDF.

    Raises
    ------
    MissingExtra
        No such browser is installed.
    BeltcastError
        The browser failed.
    """
    browser = find_browser()
    with tempfile.TemporaryDirectory() as profile:
        command = [
            browser,
            "--headless",
            "--disable-gpu",
            "--disable-background-networking",
            "--no-first-run",
            "--no-pdf-header-footer",
            f"--user-data-dir={profile}",
            f"--print-to-pdf={pdf.resolve()}",
            html.resolve().as_uri(),
        ]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.insert(1, "--no-sandbox")  # chromium's sandbox refuses to start as root
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=SECONDS)
        except (subprocess.SubprocessError, OSError) as problem:
            raise BeltcastError(
                f"{browser} could not print {html.name} ({type(problem).__name__}); open the HTML "
                "file in a browser and print it there"
            ) from None
    if not pdf.is_file():
        raise BeltcastError(
            f"{browser} wrote no PDF of {html.name}; open the HTML file in a browser and print it"
        )


def find_browser() -> str:
    """Path of a browser that can print.

    Raises
    ------
    MissingExtra
        None is installed.
    """
    for name in BROWSERS:
        if found := shutil.which(name):
            return found
    raise MissingExtra(
        "PDF needs chromium, which is not installed; install it with apt-get install chromium, or "
        "print the HTML file from any browser"
    )
