"""The server of the page: on this machine only, unless an address and a token are given.

All scripts, styles and fonts come from this server; the page asks nothing of any other machine.
A page is made for each browser that opens the address, and without the token it has no content.
"""

from __future__ import annotations

import hmac
import socket
from typing import Any

import panel as pn

from beltcast.app.page import Page
from beltcast.app.results import Opened
from beltcast.errors import InputError, quoted
from beltcast.pictures.translations import word

LOCAL = "127.0.0.1"
SHORTEST_TOKEN = 16
"""Characters; of random letters and digits these are some 80 bits."""

TEMPLATE = """{% extends base %}
{% block title %}beltcast{% endblock %}
{% block postamble %}
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
  body { font-family: system-ui, "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif;
         font-size: 15px; line-height: 1.45; color: #222; }
  #page { max-width: 1280px; margin: 0 auto; padding: 12px 16px; box-sizing: border-box; }
</style>
<script>
  // The slider's handle has a role and a value but no name: a reader of the page by ear would hear
  // "slider, 1.00".  Its title says the name, and both lie behind the same shadow root.
  function nameSliders(root) {
    for (const element of root.querySelectorAll("*")) {
      const inside = element.shadowRoot;
      if (!inside) continue;
      const title = inside.querySelector(".bk-slider-title");
      for (const handle of inside.querySelectorAll(".noUi-handle"))
        if (title) handle.setAttribute("aria-label", title.textContent.replace(/:[^:]*$/, ""));
      nameSliders(inside);
    }
  }
  setInterval(() => nameSliders(document), 1000);  // widgets are made anew with the language
</script>
{% endblock %}
{% block contents %}
<main id="page">{{ embed(roots.page) }}</main>{{ embed(roots.location) }}
{% endblock %}
"""


def checked_token(address: str, token: str | None) -> str:
    """Refuse an address that others can reach without a token that they cannot guess.

    Returns
    -------
    str
        The token; empty where none is needed.

    Raises
    ------
    InputError
        The address is not this machine's own, and the token is missing or short; or it is one of
        IPv6, which Bokeh's list of origins has no form for.

    Examples
    --------
    >>> from beltcast.app.server import checked_token
    >>> checked_token("127.0.0.1", None)
    ''
    """
    if ":" in address and address != "::":
        raise InputError(
            f"the address {address} is of IPv6, which the page cannot be bound to alone; take "
            f"{LOCAL}, or '::' with a --token"
        )
    if address in (LOCAL, "localhost"):
        return token or ""
    if token is None or len(token) < SHORTEST_TOKEN:
        raise InputError(
            f"the address {address} can be reached by others; give a --token of at least "
            f"{SHORTEST_TOKEN} characters, or leave --address out"
        )
    return token


def check_port(address: str, port: int) -> None:
    """Refuse an address that is not this machine's, or a port that another program listens to.

    Raises
    ------
    InputError
    """
    try:
        family, kind, _, _, place = socket.getaddrinfo(
            address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind) as probe:
            # As the server does: a port whose last visitor has just left is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except OSError as problem:
        reason = (problem.strerror or "it is taken").lower()
        if isinstance(problem, socket.gaierror):
            raise InputError(
                f"the address {quoted(address)} is not known ({reason}); give one of this "
                "machine's with --address, or leave it out"
            ) from None
        raise _unusable(address, port, reason) from None


def make_page(opened: Opened, token: str = "") -> Any:
    """Make the document for the browser that asks."""
    query = {
        name: values[-1].decode("utf-8", "replace")
        for name, values in pn.state.session_args.items()
        if values
    }
    template = pn.Template(TEMPLATE)
    template.location = True  # the address follows the question
    template.add_panel("page", content(opened, query, token))
    return template


def content(opened: Opened, query: dict[str, str], token: str) -> Any:
    """What a browser with such an address is shown: the page, or that a token is missing."""
    if not token or hmac.compare_digest(query.get("token", "").encode(), token.encode()):
        return Page(opened, query).root
    text = f"{word('token', 'en')} {word('token', 'zh')}"
    return pn.pane.HTML(f"<p role='alert'>{text}</p>")


def serve(
    opened: Opened,
    *,
    address: str = LOCAL,
    port: int = 5006,
    token: str | None = None,
    show: bool = False,
) -> None:
    """Serve the page until interrupted.

    Parameters
    ----------
    opened : Opened
    address : str
        Whom to listen to; 127.0.0.1 is this machine alone.
    port : int
    token : str, optional
        Needed with any other address; the link must carry it as ``?token=...``.
    show : bool
        Open a browser.

    Raises
    ------
    InputError
        The address needs a token, or the port is taken.
    """
    secret = checked_token(address, token)
    named = address in ("0.0.0.0", "::")  # by any name that this machine has; the token guards it
    origins = ["*"] if named else [f"{address}:{port}", f"localhost:{port}"]
    try:
        pn.serve(
            {"/": lambda: make_page(opened, secret)},
            address=address,
            port=port,
            websocket_origin=origins,
            show=show,
            verbose=False,
            title="beltcast",
        )
    except OSError as problem:
        raise _unusable(address, port, (problem.strerror or "it is taken").lower()) from None


def _unusable(address: str, port: int, reason: str) -> InputError:
    return InputError(
        f"port {port} of {address} cannot be used ({reason}); choose another with --port"
    )
