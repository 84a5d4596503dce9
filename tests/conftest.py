"""What all tests share: no display, and property tests that give the same answer every time."""

from __future__ import annotations

import os

# Before NumPy is loaded. Matrices of 300 by 170 are slower on two BLAS threads than on one, and
# many times slower on a machine that has other work.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import contextlib
import dataclasses
import pickle
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import hypothesis
import numpy as np
import pytest
import xarray as xr
from playwright.sync_api import Browser, sync_playwright

import beltcast
from beltcast import (
    Calibration,
    Likelihood,
    Model,
    Observations,
    Priors,
    Study,
    calibrate,
    forecast,
    load_model,
    make_likelihood,
    read_study,
)
from beltcast.inference.calibrate import calibration_at
from beltcast.inference.optimise import optimise
from beltcast.inference.sampling.draws_file import shipped_draws
from beltcast.inference.starts import starting_points
from beltcast.study.distributions import Family
from beltcast.study.noise import Definition, Noise
from beltcast.study.observations import Observation
from beltcast.study.starter import init

os.environ.setdefault("MPLBACKEND", "Agg")
# Containers often forbid bytecode: each command that a test starts, and each worker, would compile
# the package and the tests from source.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
CHROMIUM = next((p for n in ("chromium", "chromium-browser") if (p := shutil.which(n))), None)
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
# One cache of compiled models for a session, empty at its start: what another run left must not
# decide a test, and the belt model need not be compiled again by every file and subprocess.  The
# workers of pytest-xdist inherit it.
if "PYTEST_XDIST_WORKER" not in os.environ:
    _CACHE = tempfile.TemporaryDirectory(prefix="beltcast-tests-")
    os.environ["BELTCAST_CACHE"] = _CACHE.name
SHARED = Path(os.environ["BELTCAST_CACHE"]) / "made"
"""Of this session: what several workers need, made once."""

# A gate that fails one time in a hundred teaches nobody: the examples are derandomised.
# A loaded machine is slow, and slowness is not what these tests are about.
hypothesis.settings.register_profile("gate", derandomize=True, deadline=None)
hypothesis.settings.load_profile("gate")

# What a shell starts in the background ignores Ctrl-C, and hands that on to all that it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the files with slow tests come first, so that no process ends long after the others."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One for all tests of a process: Playwright's loop keeps running, and refuses a second."""
    if CHROMIUM is None:
        pytest.skip("needs Debian's chromium: apt-get install chromium fonts-noto-cjk")
    with sync_playwright() as tools:
        started = tools.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield started
        started.close()


@pytest.fixture(scope="session")
def root() -> Path:
    """Top of the checkout."""
    return Path(__file__).resolve().parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--fuzz-cases",
        type=int,
        default=100,
        help="Mutated models that the fuzzer tries; beyond the default they are drawn again.",
    )
    parser.addoption(
        "--kills", type=int, default=1, help="Times that a run of a plan is killed and resumed."
    )


SMALL_MODEL = """{UTF-8}
Place: East, West
	~
	~
	|

Level[Place] = 10,20
	~	bnCNY/Year
	~	Output of a place.
	|

Factor = 1
	~	Dmnl
	~	Common to both places.
	|

Growth = 0
	~	1/Year
	~	Rate of exponential growth.
	|

Divisor = 1
	~	Dmnl
	~	A run with 0 leaves the finite numbers.
	|

size = INTEG(size*Growth, 1)
	~	Dmnl
	~	Grows by Growth a year.
	|

output[Place] = Level[Place]*Factor*size/Divisor
	~	bnCNY/Year
	~	What is observed.
	|

firms[Place] = INTEG(0*Level[Place]/Level[Place], 100)
	~	firm
	~	A stock.
	|

INITIAL TIME = 2013
	~	Year
	~
	|

FINAL TIME = 2024
	~	Year
	~
	|

TIME STEP = 0.25
	~	Year
	~
	|

SAVEPER = 1
	~	Year
	~
	|
"""


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A model whose log output is linear in log Level and log Factor."""
    path = tmp_path_factory.mktemp("small") / "small.mdl"
    path.write_text(SMALL_MODEL, encoding="utf-8")
    return load_model(path)


@pytest.fixture(scope="session")
def study() -> Study:
    """The shipped study."""
    return read_study()


@pytest.fixture(scope="session")
def likelihood(study: Study) -> Likelihood:
    """The shipped study's likelihood."""
    return make_likelihood(study.model, study.priors, study.observations, study.noise)


def made_once(name: str, make: Callable[[], Any]) -> Any:
    """Give what another process of this session has made, or make it and keep it for others."""
    path = SHARED / f"{name}.pickle"
    if path.is_file():
        return pickle.loads(path.read_bytes())
    made = make()
    SHARED.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}")
    part.write_bytes(pickle.dumps(made))
    part.replace(path)
    return made


@pytest.fixture(scope="session")
def fit(study: Study, likelihood: Likelihood) -> Calibration:
    """A calibration of the shipped study, for everything that only needs one.

    Eight starts, and two refinements that begin near the optimum that ships: a search takes ten
    times as long.
    """

    def found() -> dict[str, Any]:
        rng = np.random.default_rng(1)
        points, answers = starting_points(likelihood, rng, 8)
        costs = -likelihood.log_density(points, answers)
        near = shipped_draws(study, likelihood).optimum
        lower, upper = likelihood.bounds()
        optima = [
            optimise(likelihood, np.clip(near + by, lower + 1e-6, upper - 1e-6)[None], rng=rng)
            for by in (0.0, 0.02)
        ]
        refined = np.argsort(costs)[:2]
        one = calibration_at(likelihood, costs, refined, optima, "least_squares")
        return {f.name: getattr(one, f.name) for f in dataclasses.fields(one)[1:]}

    return Calibration(likelihood, **made_once("fit", found))


@pytest.fixture
def saved_fit(study: Study, fit: Calibration, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ``beltcast.calibrate`` answer for the shipped study with the fit of this session.

    ``beltcast.forecast`` takes few draws: 24 need no surrogate of the posterior.
    """

    def given(source: Study | Likelihood, **options: Any) -> Calibration:
        shipped = isinstance(source, Study) and source.hashes == study.hashes
        return fit if shipped else calibrate(source, **options)

    def few(*arguments: Any, draws: int = 24, **options: Any) -> xr.Dataset:
        return forecast(*arguments, draws=min(draws, 24), **options)

    monkeypatch.setattr(beltcast, "calibrate", given)
    monkeypatch.setattr(beltcast, "forecast", few)


@pytest.fixture
def short_walks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of the moves of every walker, for tests of what follows from the draws."""
    for moves in ("ADAPT", "SLOW_MOVES"):
        monkeypatch.setattr(f"beltcast.inference.sampling.posterior.{moves}", 4)


@pytest.fixture(scope="session")
def foshan() -> Path:
    """The study of one belt that `init` writes, made once; not to be changed."""
    folder = SHARED / "foshan"
    if not folder.is_dir():
        part = SHARED / f"foshan.{os.getpid()}"
        init(part / "mine", belts=["Foshan"])
        with contextlib.suppress(OSError):  # another process was faster
            part.rename(folder)
    return folder / "mine"


@pytest.fixture
def one_belt(foshan: Path, tmp_path: Path) -> str:
    """A copy of `foshan`: commands take a tenth of the time that the shipped study costs them."""
    return str(shutil.copytree(foshan, tmp_path / "mine"))


@pytest.fixture(scope="session")
def result(study: Study, fit: Calibration) -> xr.Dataset:
    """A quick forecast of the shipped study: 40 draws."""
    rng = np.random.default_rng(2)
    return made_once("forecast", lambda: forecast(study, fit, rng=rng, draws=40, moves=6))


def make_row(kind: str = "level", start: float = 2014.0, end: float | None = None, **fields: Any):
    """An observation with everything that a test does not care about filled in."""
    given: dict[str, Any] = {
        "line": 2,
        "place": "East",
        "elements": ("East",),
        "quantity": "output",
        "kind": kind,
        "start": start,
        "end": start + 1.0 if end is None else end,
        "value": 10.0,
        "unit": "bn CNY",
        "definition": "full",
        "vintage": "final",
        "grade": "A",
        "published": 2030.0,
        "source": "a test",
    }
    return Observation(**{**given, **fields})


def make_table(*rows: Observation) -> Observations:
    """Observations in the order given, as if read from lines 2, 3, ... of table.csv."""
    numbered = [dataclasses.replace(row, line=i) for i, row in enumerate(rows, start=2)]
    return Observations(tuple(numbered), Path("table.csv"), "0" * 64)


def make_noise(**fields: Any) -> Noise:
    """Noise of 0.1 a row and nothing else, unless a test says otherwise."""
    given: dict[str, Any] = {
        "grade": {"A": 0.1, "B": 0.2, "C": 0.4},
        "vintage": {"final": 0.0, "revised": 0.0, "preliminary": 0.0, "only": 0.0},
        "year_shock": 0.0,
        "year_shocks": {},
        "season_mean": 0.0,
        "season_sd": 0.0,
        "definitions": {"full": Definition("Full scope", 0.0, 0.0, 0.0)},
    }
    return Noise(**{**given, **fields})


def make_priors(
    *labels: str, mu: Any, sigma: Any, bound: float = np.inf, family: Family = "lognormal"
) -> Priors:
    """Priors of one family, with bounds as far from the centre as said."""
    n = len(labels)
    mu, sigma = np.broadcast_to(mu, n), np.broadcast_to(sigma, n)
    return Priors(
        labels=labels,
        names=tuple(label.partition("[")[0] for label in labels),
        roles=("pooled",) * n,
        units=("",) * n,
        sources=("a test",) * n,
        families=(family,) * n,
        mu=mu,
        sigma=sigma,
        lower=mu - bound,
        upper=mu + bound,
    )


@pytest.fixture(scope="session")
def make() -> SimpleNamespace:
    """Makers of small values: ``make.row``, ``make.table``, ``make.noise``, ``make.priors``."""
    return SimpleNamespace(
        row=make_row, table=make_table, noise=make_noise, priors=make_priors, model=SMALL_MODEL
    )
