"""What all tests share: no display, and property tests that give the same answer every time."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

os.environ.setdefault("MPLBACKEND", "Agg")
os.environ["BELTCAST_CACHE"] = ""  # what another run left must not decide a test

# A gate that fails one time in a hundred teaches nobody: the examples are derandomised.
# A loaded machine is slow, and slowness is not what these tests are about.
hypothesis.settings.register_profile("gate", derandomize=True, deadline=None)
hypothesis.settings.load_profile("gate")


@pytest.fixture(scope="session")
def root() -> Path:
    """Top of the checkout."""
    return Path(__file__).resolve().parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--fuzz-cases",
        type=int,
        default=100,
        help="Mutated models that the fuzzer tries; beyond the default they are drawn anew.",
    )
