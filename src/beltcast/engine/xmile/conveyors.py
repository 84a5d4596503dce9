"""Conveyors of XMILE: a stock whose outflow is what flowed in, one transit time ago.

The initial content of a conveyor is distributed as by a steady inflow.  A plain conveyor is ``DELAY
FIXED(inflow, transit time, initial stock / transit time)``, and the stock adds up inflow minus
outflow; one that leaks or stops has a belt of its own (`beltcast.engine.language.belts`).  A
capacity, an inflow limit and an arrest limit its inflows, so that material it cannot accept stays
where it was.  The capacity follows isee's ``MIN((Capacity - Conveyor)/DT + total outflow,
inflow)``, with several inflows in the order of the file.

A discrete conveyor differs from a continuous one in two points (XMILE 1.0, 3.7.2): where its
initial content lies, and that all that its inflow limit allows in a unit of time may enter in one
step.  Behind a queue (`beltcast.engine.xmile.queues`) a conveyor takes batches.

Supported are conveyors with inflows that cannot be negative, Euler's method, and a transit time of
constants that is a whole number of steps.  Refused by name: leaks of whole numbers, linear leaks in
different zones (the standard and isee differ there), and limits on the output of another conveyor.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from beltcast.engine.syntax import canonical
from beltcast.engine.xmile.document import Element
from beltcast.engine.xmile.expression import plain_name, without_comments
from beltcast.engine.xmile.graphs import number_attribute
from beltcast.engine.xmile.modules import Declared, DocumentParts

_NUMBER = re.compile(r"\d+(?:\.\d*)?(?:[eE][-+]?\d+)?")


@dataclass(frozen=True)
class LeakFlow:
    """A flow that leaks off a conveyor.

    Attributes
    ----------
    name : str
        Canonical, with the prefix of its module.
    fraction : Element or None
        Holds the text of its fraction; a leak without one takes nothing.
    start, end : float
        Of its zone, as shares of the length from the inflow.
    """

    name: str
    fraction: Element | None
    start: float
    end: float


@dataclass(frozen=True)
class Conveyor:
    """A conveyor.

    Attributes
    ----------
    stock : Declared
    mark : Element
        Its ``<conveyor>``.
    transit : Element
        Its ``<len>``.
    outflow : str
        Canonical name of the flow off its end.
    leaks : tuple of LeakFlow
    """

    stock: Declared
    mark: Element
    transit: Element
    outflow: str
    leaks: tuple[LeakFlow, ...]

    def given(self, tag: str) -> Element | None:
        """Return an option that has an expression."""
        child = self.mark.first(tag)
        return child if child is not None and without_comments(child.text).strip() else None

    @property
    def exponential(self) -> bool:
        """Whether its leaks decay."""
        return self.marked("exponential_leak", otherwise=False)

    def marked(self, attribute: str, *, otherwise: bool) -> bool:
        """Whether an attribute of its ``<conveyor>`` is true."""
        return self.mark.attributes.get(attribute, str(otherwise)).lower() == "true"

    @property
    def discrete(self) -> bool:
        """Whether it moves batches."""
        return self.marked("discrete", otherwise=False)

    @property
    def plain(self) -> bool:
        """Whether it neither leaks nor stops."""
        return not self.leaks and self.given("arrest") is None


def find_conveyors(parts: DocumentParts, method: str) -> Mapping[str, Conveyor]:
    """Find all conveyors of a document.

    Parameters
    ----------
    parts : Parts
    method : str
        Of integration.

    Returns
    -------
    mapping
        By canonical name of each flow that a conveyor drives: its outflow and its leaks.

    Raises
    ------
    UnsupportedConstruct
        A conveyor of an unsupported kind.
    """
    declared = {canonical(d.name): d for d in parts.variables}
    found = [
        _conveyor(stock, mark, declared, method)
        for stock in parts.variables
        if stock.element.tag == "stock" and (mark := stock.element.first("conveyor")) is not None
    ]
    driven = {
        name: conveyor
        for conveyor in found
        for name in (conveyor.outflow, *(leak.name for leak in conveyor.leaks))
    }
    queued = {
        canonical(stock.prefix + plain_name(flow.text))
        for stock in parts.variables
        if stock.element.tag == "stock" and stock.element.first("queue") is not None
        for flow in stock.element.all("outflow")
    }
    for conveyor in found:
        _check_inflows(conveyor, declared, driven, queued, parts.defaults)
    return driven


_LIMITS = ("capacity", "in_limit", "arrest")
_KNOWN = (*_LIMITS, "len", "sample")


def _conveyor(
    stock: Declared, mark: Element, declared: Mapping[str, Declared], method: str
) -> Conveyor:
    more = [f"<{child.tag}>" for child in mark.children if child.tag not in _KNOWN]
    if method != "euler":
        more.append(f"the method {method}")
    if more:
        raise mark.place.refusal(
            f"<conveyor> of '{stock.name}' with {more[0]} is not supported; use Euler's method, or "
            "stocks and delays"
        )
    flows = [
        (name, declared[name].element if name in declared else flow)
        for flow in stock.element.all("outflow")
        for name in [canonical(stock.prefix + plain_name(flow.text))]
    ]
    outflows = [name for name, flow in flows if flow.first("leak") is None]
    transit = mark.first("len")
    if transit is None or len(outflows) != 1:
        raise mark.place.refusal(
            f"<conveyor> of '{stock.name}' without exactly one <len> and one outflow that is no "
            "leak is not supported; mark the others with <leak/>"
        )
    leaks = tuple(_leak(name, flow) for name, flow in flows if flow.first("leak") is not None)
    conveyor = Conveyor(stock, mark, transit, outflows[0], leaks)
    if not conveyor.exponential and len({(leak.start, leak.end) for leak in leaks}) > 1:
        raise mark.place.refusal(
            f"<conveyor> of '{stock.name}' with linear leaks in different zones is not supported: "
            "the standard takes a fraction of what flowed in, isee of what has not leaked before; "
            'give them one zone, or exponential_leak="true"'
        )
    return conveyor


def _leak(name: str, flow: Element) -> LeakFlow:
    whole = flow.first("leak_integers")
    if whole is not None and "false" not in whole.text.lower():
        raise whole.place.refusal(
            "<leak_integers> is not supported; leave it out, or write the leak as a flow"
        )
    mark = flow.first("leak")
    assert mark is not None
    holders = (h for h in (mark, flow.first("eqn")) if h is not None)
    fraction = next((h for h in holders if without_comments(h.text).strip()), None)

    def share(attribute: str, otherwise: float) -> float:
        if attribute not in flow.attributes:
            return otherwise
        return number_attribute(flow, attribute)

    return LeakFlow(name, fraction, share("leak_start", 0.0), share("leak_end", 1.0))


def _check_inflows(
    conveyor: Conveyor,
    declared: Mapping[str, Declared],
    driven: Mapping[str, Conveyor],
    queued: Collection[str],
    defaults: Mapping[str, bool],
) -> None:
    """Refuse an inflow that may be negative: the outflow would then be undefined."""
    stock = conveyor.stock
    for flow, name in inflows_of(stock):
        if name in queued:
            if not conveyor.discrete:
                raise conveyor.mark.place.refusal(
                    f"<conveyor> of '{stock.name}' behind a queue, without discrete=\"true\", is "
                    "not supported: the standard has only discrete ones there; write the mark"
                )
            continue
        if name in driven:
            limits = [tag for tag in _LIMITS if conveyor.given(tag) is not None]
            if limits:
                raise flow.place.refusal(
                    f"<{limits[0]}> of '{stock.name}', onto which another conveyor delivers, is "
                    "not supported: nothing says where what it does not take would stay; put a "
                    "stock between them"
                )
            continue
        refuse_negative("conveyor", stock, flow, declared.get(name), defaults)


def refuse_negative(
    kind: str,
    stock: Declared,
    flow: Element,
    own: Declared | None,
    defaults: Mapping[str, bool],
) -> None:
    """Refuse an inflow that may be negative.

    Parameters
    ----------
    kind : str
        What the stock is.
    stock : Declared
    flow : Element
        The ``<inflow>``.
    own : Declared or None
        Its declaration.
    defaults : mapping
        What ``<behavior>`` says.
    """
    mark = own.element.first("non_negative") if own is not None else None
    held = defaults.get("flow", False) if mark is None else "false" not in mark.text.lower()
    if not held and not (own is not None and _is_positive_number(own.element)):
        raise flow.place.refusal(
            f"<{kind}> of '{stock.name}' with an inflow that may be negative is not "
            f"supported; give '{plain_name(flow.text)}' a <non_negative/>"
        )


def _is_positive_number(flow: Element) -> bool:
    """Return whether every equation of a flow is a number without a sign."""
    texts = [
        without_comments(equation.text)
        for holder in (flow, *flow.all("element"))
        for equation in holder.all("eqn")
    ]
    return bool(texts) and all(_NUMBER.fullmatch(text.strip()) for text in texts)


def inflows_of(stock: Declared) -> Iterator[tuple[Element, str]]:
    """Yield the inflows of a stock with their canonical names."""
    for flow in stock.element.all("inflow"):
        yield flow, canonical(stock.prefix + plain_name(flow.text))
