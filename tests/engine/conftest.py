"""Fixtures of the engine's tests."""

from __future__ import annotations

import pytest

from beltcast.engine.run.prepare import Backend


@pytest.fixture(params=["numpy", "llvm"])
def backend(request: pytest.FixtureRequest) -> Backend:
    """Each back end in turn."""
    chosen: Backend = request.param
    return chosen
