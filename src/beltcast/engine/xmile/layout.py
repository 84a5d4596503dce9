"""Parts of an XMILE file besides its equations: groups, and views.

A run needs none of them, but a model that is written back keeps them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from beltcast.engine.syntax import canonical
from beltcast.engine.xmile.document import Element
from beltcast.engine.xmile.expression import plain_name


def groups_of(root: Element) -> Mapping[str, str]:
    """Group of each variable, by canonical name: ``<group>`` with ``<var>`` or ``<entity>``."""
    found: dict[str, str] = {}
    for model in root.all("model"):
        for group in model.all("group"):
            for member in group.all("var", "entity"):
                name = member.text.strip() or member.attributes.get("name", "")
                if name:
                    found.setdefault(canonical(plain_name(name)), _name(group))
    return found


def group_docs_of(root: Element) -> Mapping[str, str]:
    """Comment of each group that has one."""
    return {
        _name(group): " ".join(doc.text.split())
        for model in root.all("model")
        for group in model.all("group")
        if (doc := group.first("doc")) is not None
    }


def views_of(root: Element, text: str) -> str:
    """The views as they are in the file, if the model has no modules."""
    found = re.findall(r"<views\b.*?</views>", text, re.DOTALL)
    return found[0] if len(found) == 1 and len(list(root.all("model"))) == 1 else ""


def _name(group: Element) -> str:
    return " ".join(group.attributes.get("name", "").split())
