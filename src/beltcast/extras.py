"""Optional dependencies: imported when needed, and named with the line that installs them."""

from __future__ import annotations

import importlib
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

    Examples
    --------
    >>> need("json", "all", to="this page").loads("[1]")
    [1]
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        package = module.partition(".")[0]
        alternative = f", or {otherwise}" if otherwise else ""
        raise MissingExtra(
            f"{to} needs {package}, which is not installed; install it with "
            f"pip install 'beltcast[{extra}]'{alternative}"
        ) from None
