"""Optional dependencies: imported when needed, and named with the line that installs them."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from types import ModuleType

from beltcast.errors import MissingExtra

__all__ = ["need"]


def need(module: str, extra: str, *, to: str, otherwise: str = "") -> ModuleType:
    """Import a module of an extra, or say how to get it.

    Parameters
    ----------
    module : str
        Its full name, such as ``SALib.sample``.
    extra : str
        The extra of beltcast that brings it.
    to : str
        What it is needed for, as the subject of the sentence: 'this method'.
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
        if find_spec(package) is None:
            state, do = "is not installed", "install it with pip install"
        else:
            # A part of it is missing or of another version; to install what is there is no help.
            state = f"is installed but does not load ({problem})"
            do = "reinstall it with pip install --force-reinstall"
        raise MissingExtra(
            f"{to} needs {package}, which {state}; {do} 'beltcast[{extra}]'{alternative}"
        ) from None
