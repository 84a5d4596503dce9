"""Conveyors of XMILE: a stock whose outflow is what flowed in, one transit time ago.

What is on a conveyor when the run begins is spread evenly over it.  So the outflow is
``DELAY FIXED(inflow, transit time, initial stock / transit time)``, and the stock adds up what
flows in less what flows out; with a steady inflow it holds inflow times transit time, as isee's
help has it.  Read is the plain conveyor: one outflow, inflows that cannot be negative, Euler's
method, no arrays, and a transit time of constants that is a whole number of steps.  Leaks,
capacity, limits, arrest and batches are refused by name: when they act within a step is not said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from beltcast.engine.syntax import canonical
from beltcast.engine.xmile.document import Element
from beltcast.engine.xmile.expression import plain_name
from beltcast.engine.xmile.modules import Declared, DocumentParts

__all__ = ["Conveyor", "find_conveyors"]


@dataclass(frozen=True)
class Conveyor:
    """A conveyor that feeds an outflow.

    Attributes
    ----------
    stock : Declared
    transit : Element
        Its ``<len>``.
    """

    stock: Declared
    transit: Element


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
        By canonical name of the outflow.

    Raises
    ------
    UnsupportedConstruct
        A conveyor that is more than the plain one.
    """
    declared = {canonical(d.name): d for d in parts.variables}
    found = {}
    for stock in parts.variables:
        mark = stock.element.first("conveyor") if stock.element.tag == "stock" else None
        if mark is not None:
            _check_plain(stock, mark, method)
            for flow in stock.element.all("inflow"):
                _check_inflow(stock, flow, declared, parts.defaults)
            outflows = list(stock.element.all("outflow"))
            transit = mark.first("len")
            if transit is None or len(outflows) != 1:
                raise mark.place.refusal(
                    f"<conveyor> of '{stock.name}' without exactly one <len> and one outflow is "
                    "not supported; a leak is written as a flow out of a stock"
                )
            name = canonical(stock.prefix + plain_name(outflows[0].text))
            found[name] = Conveyor(stock, transit)
    return found


def _check_plain(stock: Declared, mark: Element, method: str) -> None:
    more = [f"<{child.tag}>" for child in mark.children if child.tag != "len"]
    more += [f"{name}=" for name, value in mark.attributes.items() if value.lower() != "false"]
    if stock.element.first("dimensions") is not None:
        more.append("<dimensions>")
    if method != "euler":
        more.append(f"the method {method}")
    if more:
        raise mark.place.refusal(
            f"<conveyor> of '{stock.name}' with {more[0]} is not supported; use a plain conveyor "
            "with Euler's method, or stocks and delays"
        )


def _check_inflow(
    stock: Declared,
    flow: Element,
    declared: Mapping[str, Declared],
    defaults: Mapping[str, bool],
) -> None:
    """What flows onto a conveyor cannot be negative: nothing says what would leave it then."""
    own = declared.get(canonical(stock.prefix + plain_name(flow.text)))
    mark = own.element.first("non_negative") if own is not None else None
    held = defaults.get("flow", False) if mark is None else "false" not in mark.text.lower()
    if not held:
        raise flow.place.refusal(
            f"<conveyor> of '{stock.name}' with an inflow that may be negative is not supported; "
            f"give '{plain_name(flow.text)}' a <non_negative/>"
        )
