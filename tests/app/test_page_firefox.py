"""The page in Firefox: Debian's firefox-esr, driven by its own protocol (Marionette), headless."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")
PATIENCE = 120.0  # a busy machine is slow, and slowness is not the claim here


class Marionette:
    """A session: each message is its length, a colon, and a JSON array."""

    def __init__(self, port: int) -> None:
        self.socket = self._connected(port)
        self.stream = self.socket.makefile("rb")
        self._read()  # what it is
        self.count = 0
        self.ask("WebDriver:NewSession", capabilities={"alwaysMatch": {}})

    def _connected(self, port: int) -> socket.socket:
        until = time.monotonic() + PATIENCE
        while True:
            try:
                return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
            except ConnectionRefusedError:
                assert time.monotonic() < until, "Firefox does not answer"
                time.sleep(0.2)

    def _read(self) -> Any:
        length = b""
        while (digit := self.stream.read(1)) != b":":
            length += digit
        return json.loads(self.stream.read(int(length)))

    def ask(self, command: str, **parameters: Any) -> Any:
        self.count += 1
        text = json.dumps([0, self.count, command, parameters])
        self.socket.sendall(f"{len(text.encode())}:{text}".encode())
        _, _, problem, answer = self._read()
        assert problem is None, problem
        return answer

    def run(self, script: str) -> Any:
        return self.ask("WebDriver:ExecuteScript", script=script, args=[])["value"]

    def until(self, script: str) -> Any:
        end = time.monotonic() + PATIENCE
        while not (found := self.run(script)):
            assert time.monotonic() < end, script
            time.sleep(0.1)
        return found


@pytest.fixture
def firefox(tmp_path: Path) -> Iterator[Marionette]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    prefs = f'user_pref("marionette.port", {port});\nuser_pref("intl.accept_languages", "zh-CN");\n'
    (tmp_path / "user.js").write_text(prefs, encoding="utf-8")
    command = [str(FIREFOX), "--headless", "--marionette", "--no-remote", "--profile"]
    running = subprocess.Popen(
        [*command, str(tmp_path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        session = Marionette(port)
        yield session
        session.stream.close()
        session.socket.close()
    finally:
        running.terminate()
        running.wait(timeout=60)


@pytest.mark.skipif(FIREFOX is None, reason="needs Debian's firefox-esr")
def test_a_lever_moves_the_headline_in_firefox_too_and_back(firefox: Marionette, made) -> None:
    """From ``file://``, in Chinese for a browser that asks for it, without an error on the page."""
    firefox.ask("WebDriver:Navigate", url=made.path.as_uri())
    firefox.until("return document.documentElement.dataset.ready === '2'")
    assert firefox.run("return document.documentElement.lang") == "zh-CN"
    headline = "return document.getElementById('headline').textContent"
    base = firefox.run(headline)
    assert base.endswith("元")
    key = made.study.roles.levers[0].key
    firefox.run(
        f"const lever = document.getElementById('lever-{key}'); lever.value = lever.min;"
        "lever.dispatchEvent(new Event('input'));"
    )
    firefox.until(f"return ({headline.removeprefix('return ')}) !== {json.dumps(base)}")
    firefox.run("document.getElementById('reset').click()")
    firefox.until(f"return ({headline.removeprefix('return ')}) === {json.dumps(base)}")
    assert firefox.run("return document.querySelector('.notice').textContent") == ""
