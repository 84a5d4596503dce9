"""Optional dependencies: imported when needed, and named with the line that installs them.

beltcast is on no package index: the line names the checkout or the wheel that this copy came from.
"""

from __future__ import annotations

import importlib
import json
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote, urlsplit

from beltcast.errors import MissingExtra


def need(module: str, extra: str, *, to: str, otherwise: str = "") -> ModuleType:
    """Import a module of an extra, or say how to get it.

    Parameters
    ----------
    module : str
        Its full name, such as ``nutpie.compile``.
    extra : str
        The extra of beltcast that brings it.
    to : str
        The feature that needs it, as the subject of the sentence: 'this method'.
    otherwise : str, optional
        What to do instead, such as "take the method 'tornado'".

    Raises
    ------
    MissingExtra
        It is not installed, or it is and does not load; the sentence says which.

    Examples
    --------
    >>> need("json", "all", to="this page").loads("[1]")
    [1]
    """
    try:
        return importlib.import_module(module)
    except ImportError as problem:
        package = module.partition(".")[0]
        alternative = f", or {otherwise}" if otherwise else ""
        again = ""
        if find_spec(package) is None:
            state, do = "is not installed", "install it with "
        else:
            # A part of it is missing or of another version; installing it again does not help.
            state = f"is installed but does not load ({problem})"
            do = "reinstall it with "
            again = "--force-reinstall "
        raise MissingExtra(
            f"{to} needs {package}, which {state}; {do}{install_line(extra, again)}{alternative}"
        ) from None


def install_line(extra: str, options: str = "") -> str:
    """Return the pip command that adds an extra to this copy of beltcast.

    Parameters
    ----------
    extra : str
    options : str, optional
        Options of ``pip install``, each followed by a blank.

    Returns
    -------
    str
        It names the checkout of an editable install and of a run without any install
        (``PYTHONPATH``), the wheel or address of another direct install (PEP 610), else the name.

    Examples
    --------
    >>> install_line("bayes").startswith("pip install ")
    True
    """
    try:
        kept = distribution("beltcast").read_text("direct_url.json")
    except PackageNotFoundError:
        kept = None
    origin = json.loads(kept) if kept else {}
    url = str(origin.get("url", ""))
    checkout = Path(__file__).resolve().parents[3]
    if origin.get("dir_info", {}).get("editable") or (checkout / "pyproject.toml").is_file():
        return f"pip install {options}-e '{checkout}[{extra}]'"
    folder = Path(unquote(urlsplit(url).path))
    if "dir_info" in origin:
        return f"pip install {options}'{folder}[{extra}]'"
    return f"pip install {options}'beltcast[{extra}]{f' @ {url}' if url else ''}'"
