"""Variables of an XMILE document: modules written out, macros collected.

A document holds one model without a name and others that it uses as modules.  Each module becomes
its model's variables under its own name, as ``hares.area``; an input that is connected becomes
another name of what it is connected to.  A module of a module is ``outer.inner.name``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from beltcast.engine.lower.limits import LARGEST_MODEL
from beltcast.engine.syntax import canonical
from beltcast.engine.xmile.document import Element
from beltcast.engine.xmile.expression import plain_name
from beltcast.engine.xmile.names import full_name
from beltcast.errors import ModelFileError

MOST_VARIABLES = LARGEST_MODEL // 10
"""Variables and modules, written out: modules that hold modules can double at each level."""

DEEPEST_MODULES = 50


@dataclass(frozen=True)
class Declared:
    """A variable of the whole model.

    Attributes
    ----------
    name
        With the names of its modules before it.
    element
    prefix
        Of the module that it is in: ``""`` or ``"hares."``.
    source
        For a connected input: the name it is connected to, read in the module `above`.
    """

    name: str
    element: Element
    prefix: str = ""
    source: str | None = None
    above: str = ""


@dataclass(frozen=True)
class DocumentParts:
    """Variables and macros of a document, and whether stocks and flows stay above zero."""

    variables: tuple[Declared, ...]
    macros: tuple[Element, ...]
    defaults: Mapping[str, bool]


def collect(root: Element, path: Path) -> DocumentParts:
    """Find all variables of a document.

    Raises
    ------
    ModelFileError
        A module names a missing model, contains itself, or there are too many.
    UnsupportedConstruct
        A module is in another file or has a time of its own.
    """
    models = list(root.all("model"))
    if not models:
        raise ModelFileError("the file has no <model>; give an XMILE file with one", path)
    main = next((m for m in models if not m.attributes.get("name")), models[0])
    work = _Modules({canonical(plain_name(m.attributes.get("name", ""))): m for m in models})
    work.add(main, "", "", {}, ())
    macros = (*root.all("macro"), *(m for model in models for m in model.all("macro")))
    return DocumentParts(tuple(work.found), macros, _defaults(root, main))


def refuse_inside(element: Element, tags: tuple[str, ...], where: str) -> None:
    """Refuse the first child of these tags by name and line."""
    for child in element.all(*tags):
        raise child.place.refusal(
            f"<{child.tag}> {where} is not supported; use stocks and delays"
            if element.tag != "macro"
            else f"<{child.tag}> {where} is not supported; write it into the model"
        )


def _defaults(root: Element, main: Element) -> dict[str, bool]:
    """What <behavior> states about all stocks and all flows."""
    found = {}
    for behavior in (*root.all("behavior"), *main.all("behavior")):
        for holder, tags in (
            (behavior, ("stock", "flow")),
            *((child, (child.tag,)) for child in behavior.all("stock", "flow")),
        ):
            mark = holder.first("non_negative")
            if mark is not None:
                found.update(dict.fromkeys(tags, "false" not in mark.text.lower()))
    return found


def _connections(model: Element) -> dict[str, dict[str, str]]:
    """For each module of a model, by canonical name: its inputs and what each is connected to.

    ``to`` is 'area' or 'hares.area': inside the module, or as seen from around it.  Stella lists a
    connection under both of its modules, so that one may name an input of another module, or, as
    '.area', a variable of the model around it: those are under the name ''.
    """
    modules = {
        canonical(plain_name(e.required("name"))): e
        for holder in (model, *model.all("variables"))
        for e in holder.all("module")
    }
    around = {
        canonical(plain_name(e.required("name")))
        for holder in (model, *model.all("variables"))
        for e in holder.all("aux", "flow", "stock")
    }
    found: dict[str, dict[str, str]] = {name: {} for name in ("", *modules)}
    for own, element in modules.items():
        for connection in element.all("connect"):
            text = connection.required("to")
            target = canonical(full_name(text, ""))
            if text.lstrip().startswith(".") and target in around:
                found[""][target] = connection.required("from")
                continue
            owner = next((name for name in modules if target.startswith(f"{name}.")), own)
            found[owner][target.removeprefix(f"{owner}.")] = connection.required("from")
    return found


@dataclass
class _Modules:
    """Models by canonical name, and the variables found so far."""

    models: Mapping[str, Element]
    found: list[Declared] = field(default_factory=list)
    count: int = 0

    def add(
        self,
        model: Element,
        prefix: str,
        above: str,
        connected: Mapping[str, str],
        inside: tuple[str, ...],
    ) -> None:
        if inside:
            for specs in model.all("sim_specs"):
                raise specs.place.refusal(
                    "a module with a time of its own is not supported; give it the time of the "
                    "model"
                )
        connections = _connections(model)
        for holder in (model, *model.all("variables")):
            for element in holder.all("aux", "flow", "stock", "gf", "module"):
                self.count += 1
                if self.count > MOST_VARIABLES:
                    raise element.place.error(
                        f"with its modules the model has more than {MOST_VARIABLES} variables; "
                        "use fewer"
                    )
                name = plain_name(element.required("name"))
                if element.tag == "module":
                    self.module(element, name, prefix, inside, connections[canonical(name)])
                else:
                    key, source, place = canonical(name), connected.get(canonical(name)), above
                    if source is None and key in connections[""]:
                        source, place = connections[""][key], prefix
                    self.found.append(Declared(prefix + name, element, prefix, source, place))

    def module(
        self,
        element: Element,
        name: str,
        prefix: str,
        inside: tuple[str, ...],
        connected: Mapping[str, str],
    ) -> None:
        if element.attributes.get("resource"):
            raise element.place.refusal(
                f"the module '{name}' lives in another file, which is not supported; put it into "
                "this one"
            )
        key = canonical(name)
        model = self.models.get(key)
        if model is None:
            raise element.place.error(
                f"the module '{name}' has no <model> of that name in this file; add it"
            )
        if key in inside:
            raise element.place.error(f"the module '{name}' contains itself; break the circle")
        if len(inside) >= DEEPEST_MODULES:
            raise element.place.error(
                f"modules are nested more than {DEEPEST_MODULES} deep here; use fewer"
            )
        own = {
            canonical(plain_name(e.attributes.get("name", "")))
            for holder in (model, *model.all("variables"))
            for e in holder.all("aux", "flow", "stock", "gf")
        }
        for target in connected:
            if target not in own:
                raise element.place.error(
                    f"the module '{name}' has no variable '{target}' to connect; check the name"
                )
        self.add(model, f"{prefix}{name}.", prefix, connected, (*inside, key))
