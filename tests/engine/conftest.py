"""Fixtures of the engine's tests."""

from __future__ import annotations

import pytest

from beltcast.engine.run.prepare import Backend


@pytest.fixture(params=["numpy", "llvm"])
def backend(request: pytest.FixtureRequest) -> Backend:
    """Each back end in turn."""
    return request.param  # type: ignore[no-any-return]
