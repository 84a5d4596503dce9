"""The processes that `run --workers` starts take orders from this process only."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest

from beltcast.scale.cluster import connected

distributed = pytest.importorskip("distributed")


def test_a_stranger_of_the_machine_runs_nothing_in_our_cluster() -> None:
    with connected(None, workers=1) as client:
        address = client.scheduler.address
        assert address.startswith("tls://127.0.0.1:")
        assert client.submit(abs, -1).result(timeout=60) == 1
        http = client.cluster.scheduler.http_server.port
        with pytest.raises(urllib.error.HTTPError):  # no page that shows what runs
            urllib.request.urlopen(f"http://127.0.0.1:{http}/status", timeout=20)
        port = address.rsplit(":", 1)[1]
        for stranger, security in (
            (f"tcp://127.0.0.1:{port}", None),
            (address, distributed.Security.temporary()),  # encrypted, with another's certificate
        ):
            with pytest.raises((OSError, TimeoutError)):
                distributed.Client(stranger, timeout="2s", security=security)
