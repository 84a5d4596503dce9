"""The files that ship with the package: the belt model, its priors and the published observations.

They are at the top of the repository, under ``models/`` and ``calibration/``, where people look
for them. The wheel carries copies inside the package. `shipped` finds either.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent


def shipped(relative: str) -> Path:
    """Return the path of a shipped file or folder.

    Parameters
    ----------
    relative
        Path from the top of the repository, such as ``models/belt/belt.mdl``.

    Raises
    ------
    FileNotFoundError
        Neither the installed package nor a checkout around it has the file.
    """
    # An installed package has only the first. The second must be distinguished from another project
    # with a folder `models` above its `src`: its pyproject.toml names beltcast.
    checkout = _PACKAGE.parent.parent
    candidates = [_PACKAGE / "_shipped" / relative]
    if _is_checkout(checkout):
        candidates.append(checkout / relative)
    for path in candidates:
        if path.exists():
            return path
    raise FileNotFoundError(
        f"'{relative}' is not among the files shipped with beltcast; looked for "
        f"{' and '.join(map(str, candidates))}; reinstall beltcast"
    )


def _is_checkout(folder: Path) -> bool:
    project = folder / "pyproject.toml"
    return project.is_file() and 'name = "beltcast"' in project.read_text(encoding="utf-8")
