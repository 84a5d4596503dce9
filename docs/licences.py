"""Print the licence of every package that beltcast installs, by way of which it comes.

    python docs/licences.py             # of the package alone
    python docs/licences.py all         # with an extra

Reads the metadata of what is installed. A package that is not installed is listed as such.
"""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, distribution

from packaging.requirements import Requirement

COPYLEFT = ("GPL", "GNU")


def licence(name: str) -> str:
    """Licence as the metadata of a package states it: expression, field or classifiers."""
    about = distribution(name).metadata
    classifiers = [
        line.rpartition(":: ")[2]
        for line in about.get_all("Classifier") or []
        if line.startswith("License ::")
    ]
    field = (about.get("License") or "").strip().split("\n")[0][:60]
    return about.get("License-Expression") or "; ".join(classifiers) or field or "not stated"


def tree(top: str, extras: frozenset[str]) -> dict[str, tuple[str, ...]]:
    """Every package that the top one needs, with the path of packages to it."""
    found: dict[str, tuple[str, ...]] = {}
    waiting = [(top, extras, ())]
    seen = set()
    while waiting:
        name, wanted, path = waiting.pop(0)
        key = name.lower().replace("_", "-")
        if (key, wanted) in seen:
            continue
        seen.add((key, wanted))
        found.setdefault(key, path)
        try:
            needed = distribution(name).requires or []
        except PackageNotFoundError:
            continue
        for line in needed:
            one = Requirement(line)
            given = [{"extra": extra} for extra in (wanted or {""})]
            if one.marker is None or any(one.marker.evaluate(each) for each in given):
                waiting.append((one.name, frozenset(one.extras), (*path, name)))
    return found


def main() -> None:
    """Print a line for each package: name, version, licence, way; copyleft ones are marked."""
    for name, path in sorted(tree("beltcast", frozenset(sys.argv[1:])).items()):
        try:
            version, terms = distribution(name).version, licence(name)
        except PackageNotFoundError:
            version, terms = "-", "not installed"
        mark = "*" if any(word in terms.upper() for word in COPYLEFT) else " "
        print(f"{mark} {name} {version}: {terms}  ({' > '.join(path) or 'itself'})")


if __name__ == "__main__":
    main()
