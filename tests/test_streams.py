"""Random numbers depend on the seed and on the name of their stream, and on nothing else."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from beltcast import Calibration, Study, calibrate, forecast, read_study
from beltcast.errors import InputError
from beltcast.streams import Streams

POSTERIOR = {"output", "output_quantile", "change_quantile", "chance_of_more"}
PRIOR = {"prior_chance_of_more"}
# What a stream must not touch of a forecast.
UNTOUCHED = {
    "posterior": {*PRIOR, "prior_quantile"},
    "prior": {*POSTERIOR, "published_quantile"},
    "noise": {*POSTERIOR, *PRIOR},
    "year_shocks": {*POSTERIOR, *PRIOR},
    "a stream of a new consumer": {*POSTERIOR, *PRIOR, "published_quantile", "prior_quantile"},
}


@pytest.fixture(scope="module")
def belt(foshan: Path) -> Study:
    return read_study(foshan)


@pytest.fixture(scope="module")
def belt_fit(belt: Study) -> Calibration:
    return calibrate(belt, rng=np.random.default_rng(1), starts=1, refine=1)


@pytest.fixture(scope="module")
def plain(belt: Study, belt_fit: Calibration) -> xr.Dataset:
    return forecast(belt, belt_fit, rng=Streams(3), draws=6, moves=1)


@pytest.mark.parametrize("name", UNTOUCHED)
def test_one_more_draw_of_a_stream_leaves_all_others_as_they_are(
    name: str,
    plain: xr.Dataset,
    belt: Study,
    belt_fit: Calibration,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream = Streams.stream

    def one_more(self: Streams, asked: str) -> np.random.Generator:
        generator = stream(self, asked)
        if asked == name:
            generator.random()
        return generator

    monkeypatch.setattr(Streams, "stream", one_more)
    moved = forecast(belt, belt_fit, rng=Streams(3), draws=6, moves=1)
    for variable in UNTOUCHED[name]:
        np.testing.assert_array_equal(moved[variable], plain[variable], err_msg=variable)
    changed = [v for v in plain.data_vars if not plain[v].equals(moved[v])]
    assert bool(changed) == (name in ("posterior", "prior", "noise", "year_shocks"))


def test_names_and_paths_are_told_apart() -> None:
    streams = Streams(1)
    firsts = [
        streams.a.random(),
        streams.stream("ab").random(),
        streams.under("a").b.random(),
        streams.under("ab").stream("").random(),
        Streams(2).a.random(),
    ]
    assert len(set(firsts)) == len(firsts)


def test_a_stream_is_independent_of_another() -> None:
    n = 10_000
    one, other = Streams(1).one.standard_normal(n), Streams(1).other.standard_normal(n)
    # The correlation of independent normals has a standard deviation of 1 / sqrt(n).
    assert abs(np.corrcoef(one, other)[0, 1]) < 4 / np.sqrt(n)


def test_streams_are_values_that_can_be_copied_and_sent() -> None:
    streams = Streams(1).under("block 3")
    for twin in (copy.deepcopy(streams), pickle.loads(pickle.dumps(streams))):
        assert twin == streams
        assert twin.noise.random() == streams.noise.random()


def test_a_generator_a_seed_and_streams_are_all_accepted() -> None:
    assert Streams.of(Streams(4)) == Streams.of(4) == Streams(4)
    rng = np.random.default_rng(1)
    assert Streams.of(rng) != Streams.of(rng)  # two calls with one generator differ


def test_a_negative_seed_is_refused_with_what_to_give() -> None:
    with pytest.raises(InputError, match="the seed is -1; expected a whole number, 0 or more"):
        Streams(-1)
