"""Queues of XMILE: stocks that pass on batches in the order in which they arrived.

A queue drives its outflows, whatever equation the file gives them.  What they take is decided by
what is downstream (`beltcast.engine.language.queues` has the rules): a conveyor with its capacity,
its inflow limit and its arrest; a cloud, another stock or another queue takes everything.

Refused by name: inflows that may be negative, methods other than Euler's, ``<overflow/>`` on the
first outflow or after several ordinary ones (nothing says which of them must be blocked), and an
outflow into several stocks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from beltcast.engine.syntax import canonical
from beltcast.engine.xmile.conveyors import Conveyor, inflows_of, refuse_negative
from beltcast.engine.xmile.expression import plain_name
from beltcast.engine.xmile.modules import Declared, DocumentParts


@dataclass(frozen=True)
class WayOut:
    """An outflow of a queue.

    Attributes
    ----------
    name : str
        Canonical, with the prefix of its module.
    conveyor : Conveyor or None
        Which takes it in, if one does.
    overflow : bool
    """

    name: str
    conveyor: Conveyor | None
    overflow: bool


@dataclass(frozen=True)
class Queue:
    """A queue.

    Attributes
    ----------
    stock : Declared
    ways : tuple of WayOut
        In the order of the file.
    """

    stock: Declared
    ways: tuple[WayOut, ...]


def find_queues(
    parts: DocumentParts, conveyors: Mapping[str, Conveyor], method: str
) -> Mapping[str, Queue]:
    """Find all queues of a document.

    Parameters
    ----------
    parts : DocumentParts
    conveyors : mapping
        By the flows that they drive.
    method : str
        Of integration.

    Returns
    -------
    mapping
        By canonical name of each flow that a queue drives.

    Raises
    ------
    UnsupportedConstruct
        A queue of an unsupported kind.
    """
    declared = {canonical(d.name): d for d in parts.variables}
    takers: dict[str, list[Declared]] = {}
    for stock in parts.variables:
        if stock.element.tag == "stock":
            for _, name in inflows_of(stock):
                takers.setdefault(name, []).append(stock)
    belts = {id(c.stock): c for c in conveyors.values()}
    queues = [
        (stock, mark)
        for stock in parts.variables
        if stock.element.tag == "stock" and (mark := stock.element.first("queue")) is not None
    ]
    driven: dict[str, Queue] = {}
    for stock, mark in queues:
        if method != "euler":
            raise mark.place.refusal(
                f"<queue> of '{stock.name}' with the method {method} is not supported; use Euler's"
            )
        ways: list[WayOut] = []
        for flow in stock.element.all("outflow"):
            name = canonical(stock.prefix + plain_name(flow.text))
            own = declared.get(name)
            into = takers.get(name, [])
            if own is None or name in driven or len(into) > 1:
                raise flow.place.refusal(
                    f"<queue> of '{stock.name}' whose outflow '{plain_name(flow.text)}' is no flow "
                    "of its own, or enters several stocks, is not supported; give it one flow for "
                    "each"
                )
            overflow = own.element.first("overflow") is not None
            if overflow and sum(not way.overflow for way in ways) != 1:
                raise flow.place.refusal(
                    f"<overflow/> of '{own.name}' that does not follow exactly one ordinary "
                    f"outflow of '{stock.name}' is not supported: nothing says what must be blocked"
                )
            ways.append(WayOut(name, belts.get(id(into[0])) if into else None, overflow))
        queue = Queue(stock, tuple(ways))
        driven.update({way.name: queue for way in ways})
    for stock, _ in queues:
        for flow, name in inflows_of(stock):
            if name not in driven and name not in conveyors:
                refuse_negative("queue", stock, flow, declared.get(name), parts.defaults)
    return driven
