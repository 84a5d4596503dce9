"""Rolling origins: nothing looks ahead, and a forecast is the exact predictive distribution."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from beltcast import Study, load_model
from beltcast.cli import app
from beltcast.engine.nodes import FloatArray
from beltcast.errors import CalibrationError, InputError, MissingExtra
from beltcast.files.resume import Pieces
from beltcast.files.shipped import shipped
from beltcast.forecasting.summary import as_text
from beltcast.model.variants import with_numbers
from beltcast.study.noise import Definition
from beltcast.study.observations import Observation
from beltcast.study.scenarios import Scenario
from beltcast.verification.backtest import (
    FITTED,
    Settings,
    _of_baseline,
    _printed,
    _scale,
    at_origin,
    usual_origins,
)
from beltcast.verification.baselines.history import History, Request
from beltcast.verification.baselines.random_walks import persistence
from beltcast.verification.origin import Case, as_known, model_as_known, targets
from beltcast.verification.origin_rules import InputRule, OriginRules, read_origin_rules
from beltcast.verification.pool import POOLS
from beltcast.verification.record import backtest, origin_identity
from beltcast.verification.skill import case_scores
from beltcast.verification.skill_text import summarise_skill

DRIVEN = """{UTF-8}
Place: East, West ~ ~ |
Level[Place] = 10,20 ~ bnCNY/Year ~ |
Strength = 1 ~ Dmnl ~ |
SW A = 1 ~ Dmnl ~ |
push :INTERPOLATE: := GET DIRECT DATA('push.csv', ',', 'A', 'B2') ~ Dmnl ~ |
output[Place] = Level[Place]*EXP(Strength*SW A*push) ~ bnCNY/Year ~ |
INITIAL TIME = 2013 ~ Year ~ |
FINAL TIME = 2026 ~ Year ~ |
TIME STEP = 0.25 ~ Year ~ |
SAVEPER = 1 ~ Year ~ |
"""
RULES = OriginRules(inputs={"push": InputRule(delay=0.25, carry="growth", driver=True)})
QUICK = Settings(draws=6, moves=2, starts=2, refine=1, switches=("SW A",))


def last_level(request: Request, *, rng: np.random.Generator) -> FloatArray:
    """Persistence without any noise."""
    assert request.panel
    return np.full((request.size, len(request.years)), request.history.values[-1])


def by_extra(*arguments: object, **named: object) -> FloatArray:
    """A baseline whose package is not installed."""
    raise MissingExtra("this needs more")


BASELINES = {"last level": last_level, "with an extra": by_extra}


@pytest.fixture(scope="module")
def driven(tmp_path_factory: pytest.TempPathFactory, make: SimpleNamespace) -> Study:
    """Two places, each with a level a year from 2014 to 2024, printed a quarter later."""
    folder: Path = tmp_path_factory.mktemp("driven")
    (folder / "driven.mdl").write_text(DRIVEN, encoding="utf-8")
    points = "\n".join(f"{year}.5,{0.1 * (year - 2013)}" for year in range(2014, 2026))
    (folder / "push.csv").write_text(f"time,push\n2013,0.0\n{points}\n", encoding="utf-8")
    rows: list[Observation] = [
        make.row(
            place=place,
            elements=(place,),
            start=float(year),
            value=base * math.exp(0.1 * (year - 2013)),
            published=year + 1.25,
            definition=definition,
        )
        for place, base, definition in (("East", 15.0, "wide"), ("West", 20.0, "full"))
        for year in range(2014, 2025)
    ]
    return Study(
        title="Driven",
        model=load_model(folder / "driven.mdl"),
        observations=make.table(*rows),
        places={},
        titles={},
        priors=make.priors("Strength", mu=1.0, sigma=0.3, bound=3.0, family="normal"),
        scenarios={"baseline": Scenario("baseline", "Baseline")},
        noise=make.noise(
            year_shock=0.05,
            year_shocks={2020: 0.3},
            definitions={
                "full": Definition("Full", 0.0, 0.0, 0.0),
                "wide": Definition("Wide", 1.0, 0.1, 0.0),
            },
        ),
        hashes={"study": "0" * 64},
        target="output",
    )


def scrambled(study: Study, rules: OriginRules, date: float) -> Study:
    """A study whose every number that came out after a date is another one."""
    rng = np.random.default_rng(17)
    rows = tuple(
        dataclasses.replace(row, value=row.value * rng.uniform(0.2, 5.0))
        if row.published > date
        else row
        for row in study.observations
    )
    series = {}
    for name in study.model.inputs:
        rule = rules.of_input(name)
        data = study.model.program.inputs[int(study.model.rows(name)[0])]
        # The first point is the base of the series and always known.
        late = [i > 0 and rule.published_at(t) > date for i, t in enumerate(data.times.tolist())]
        values = np.where(late, data.values * rng.uniform(0.2, 5.0, len(late)), data.values)
        series[name] = (data.times.tolist(), values.tolist())
    dates = {}
    for name, rule_of_date in rules.constants.items():
        for row in study.model.rows(name):
            label = study.model.label(int(row))
            value = study.model.value(label)
            if rule_of_date.kind != "announced" or value > date:
                dates[label] = max(value, date) + rng.uniform(1.0, 3.0)
    return dataclasses.replace(
        study,
        model=with_numbers(study.model, dates, series),
        observations=dataclasses.replace(study.observations, rows=rows),
    )


@pytest.mark.parametrize("date", [2019.5, 2021.3])
def test_a_scrambled_future_leaves_every_bit_of_a_forecast(driven: Study, date: float) -> None:
    plain = at_origin(driven, RULES, date, settings=QUICK)
    other = at_origin(scrambled(driven, RULES, date), RULES, date, settings=QUICK)
    np.testing.assert_array_equal(plain["forecast"], other["forecast"])
    # Kept in double precision, where even a weight of 1e-12 would be seen.
    np.testing.assert_array_equal(plain["cost"], other["cost"])
    assert (plain["observed"] != other["observed"]).all()


@pytest.fixture(scope="module")
def shipped_rules(study: Study) -> OriginRules:
    path = shipped("models/belt/inputs-known.toml")
    return read_origin_rules(path, study.model, study.priors)


@pytest.mark.parametrize("date", [2018.3, 2020.25, 2023.5])
def test_a_scrambled_future_leaves_what_is_known_of_the_shipped_study(
    study: Study, shipped_rules: OriginRules, date: float
) -> None:
    def known_of(one: Study) -> list[object]:
        known = as_known(one, date, shipped_rules)
        frozen = model_as_known(one.model, date, shipped_rules, frozen=True)
        numbers = [
            (model.program.constant_values.tobytes(), data.times.tobytes(), data.values.tobytes())
            for model in (known.model, frozen)
            for data in model.program.inputs.values()
        ]
        histories = [
            case.history and [part.tobytes() for part in dataclasses.astuple(case.history)]
            for case in targets(one, date)
        ]
        return [known.observations.rows, numbers, known.noise, histories]

    later = scrambled(study, shipped_rules, date)
    for plain, other in zip(known_of(study), known_of(later), strict=True):
        assert plain == other
    assert [case.row.value for case in targets(study, date)] != [
        case.row.value for case in targets(later, date)
    ]


@pytest.mark.long
def test_a_scrambled_future_leaves_every_bit_of_the_shipped_study(
    study: Study, shipped_rules: OriginRules
) -> None:
    rules = shipped_rules
    quick = Settings(draws=4, moves=1, starts=1, refine=1)
    plain, other = (
        at_origin(one, rules, 2020.25, settings=quick, baselines={"persistence": persistence})
        for one in (study, scrambled(study, rules, 2020.25))
    )
    np.testing.assert_array_equal(plain["forecast"], other["forecast"])
    assert (plain["observed"] != other["observed"]).all()


def test_ex_post_does_look_at_later_inputs(driven: Study) -> None:
    # The test above would be worth nothing if the future moved no forecast at all.
    settings = dataclasses.replace(QUICK, ex_post=True)
    rules = dataclasses.replace(RULES, sha256="f" * 64)
    plain = at_origin(driven, rules, 2021.3, settings=settings)
    assert plain.attrs["rules_sha256"] == "f" * 64
    other = at_origin(scrambled(driven, RULES, 2021.3), RULES, 2021.3, settings=settings)
    assert plain.attrs["information"] == "inputs ex post"
    assert "sd frozen drivers" not in plain["forecaster"]
    assert (plain["forecast"].sel(forecaster="sd") != other["forecast"].sel(forecaster="sd")).all()


def test_the_forecast_is_the_exact_predictive_distribution(driven: Study) -> None:
    # With Strength known, log y of West is its level plus the shock of its year and its own noise;
    # East has an offset u and a drift v as well, seen in the rows known. All of it is normal.
    priors = dataclasses.replace(driven.priors, sigma=np.array([1e-7]))
    noise = dataclasses.replace(driven.noise, year_shocks={}, year_shock=0.0)
    study = dataclasses.replace(driven, priors=priors, noise=noise)
    settings = dataclasses.replace(QUICK, draws=20000, moves=0)
    origin = 2020.5
    result = at_origin(study, RULES, origin, settings=settings)
    logs = np.log(result["forecast"].sel(forecaster="sd").astype(float))
    # The reference date of the drift is the origin.
    years = np.arange(2014, 2020)
    design = np.column_stack([np.ones(6), 0.1 * (years + 0.5 - origin)])
    model_at = {year: _log_total(study, year, origin) for year in (*years, *range(2020, 2024))}
    seen = [
        math.log(row.value) - model_at[round(row.start)]
        for row in study.observations
        if row.place == "East" and row.published <= origin
    ]
    precision = design.T @ design / 0.1**2 + np.eye(2)
    mean = np.linalg.solve(precision, design.T @ np.array(seen) / 0.1**2)
    east = result["place"].values == "East"
    assert result["year"].values[east].tolist() == [2020, 2021, 2022, 2023]
    for i, year in zip(np.flatnonzero(east), range(2020, 2024), strict=True):
        loading = np.array([1.0, 0.1 * (year + 0.5 - origin)])
        expected = model_at[year] + loading @ mean
        sd = math.sqrt(0.1**2 + loading @ np.linalg.solve(precision, loading))
        # 20,000 draws: four standard errors of a mean and of an sd.
        assert float(logs[i].mean()) == pytest.approx(expected, abs=4 * sd / math.sqrt(20000))
        assert float(logs[i].std()) == pytest.approx(sd, rel=4 / math.sqrt(40000))
    west = float(logs[np.flatnonzero(~east)[0]].std())
    assert west == pytest.approx(0.1, rel=4 / math.sqrt(40000))


def _log_total(study: Study, year: int, origin: float) -> float:
    """Log of East's total of a year with the inputs as known at the origin, Strength 1."""
    from beltcast.verification.origin import model_as_known

    known = model_as_known(study.model, origin, RULES)
    when = np.arange(year, year + 1.0, 0.25)
    rate = known.simulate(outputs=["output"], save_at=when)["output"].sel(Place="East")
    return math.log(float(rate.mean()))


def test_rows_to_forecast_weigh_nothing_in_the_fit(driven: Study) -> None:
    # One origin, asked for one year or for four: the fit costs the same.
    one = at_origin(driven, RULES, 2020.5, settings=dataclasses.replace(QUICK, leads=(1,)))
    four = at_origin(driven, RULES, 2020.5, settings=QUICK)
    assert one.sizes["case"] == 2
    assert four.sizes["case"] == 8
    np.testing.assert_allclose(one["cost"][0], four["cost"][0], rtol=1e-6)


def test_rows_to_forecast_do_not_pull_on_an_estimated_standard_deviation(driven: Study) -> None:
    # A standard deviation is estimated by the rows that it is the standard deviation of; a
    # placeholder is none of them.
    study = dataclasses.replace(driven, noise=dataclasses.replace(driven.noise, error_scale_sd=0.5))
    one, four = (
        at_origin(study, RULES, 2020.5, settings=dataclasses.replace(QUICK, leads=leads))
        for leads in ((1,), (1, 2, 3, 4))
    )
    np.testing.assert_allclose(one["cost"][0], four["cost"][0], rtol=1e-6)


def test_a_forecast_has_the_tails_and_the_estimated_standard_deviation_of_the_noise(
    driven: Study,
) -> None:
    # With Strength known, and nothing fitted, West errs by nothing but its row's own noise.
    priors = dataclasses.replace(driven.priors, sigma=np.array([1e-7]))
    settings = dataclasses.replace(QUICK, draws=20000, moves=0, leads=(1,))

    def errors(**noise: object) -> np.ndarray:
        changed = dataclasses.replace(driven.noise, year_shocks={}, year_shock=0.0, **noise)
        study = dataclasses.replace(driven, priors=priors, noise=changed)
        result = at_origin(study, RULES, 2020.5, settings=settings)
        west = result.isel(case=np.flatnonzero(result["place"].values == "West"))
        logs = np.log(west["forecast"].sel(forecaster="sd prior").values[0].astype(float))
        return logs - np.median(logs)

    # Student's t of 4 degrees: 95 % lie within 2.776 standard deviations, where the normal needs
    # 1.960. The standard error of such a quantile is sqrt(0.025 0.975 / 20,000) over the density, 3
    # %.
    assert np.quantile(errors(tails=4.0), 0.975) == pytest.approx(0.2776, rel=0.12)
    # A standard deviation of 0.1 exp(eta / 2), eta standard normal: variance 0.01 exp(1/2); that of
    # a sample has a relative standard error of sqrt((3 e - 1) / 20,000), 2 %.
    sd = errors(error_scale_sd=0.5).std()
    assert sd == pytest.approx(0.1 * math.exp(0.25), rel=0.04)


def test_cases_carry_what_a_score_needs(driven: Study) -> None:
    result = at_origin(driven, RULES, 2020.5, settings=QUICK, baselines=BASELINES)
    assert result["forecast"].dims == ("case", "forecaster", "draw")
    assert result["forecaster"].values.tolist() == [
        "sd", "sd frozen drivers", "no interaction", "sd prior", "last level",
    ]  # fmt: skip
    case = result.isel(case=0)
    assert (case["place"], case["year"], case["lead"], case["line"]) == ("East", 2020, 1, 8)
    last = 15.0 * math.exp(0.6)
    assert case["last"] == pytest.approx(last)
    levels = 15.0 * np.exp(0.1 * np.arange(1, 7))
    assert case["scale"] == pytest.approx(np.diff(levels).mean())
    assert case["forecast"].sel(forecaster="last level").values == pytest.approx(last)
    assert case["observed"] == pytest.approx(15.0 * math.exp(0.7))


def test_a_series_without_a_history_has_no_baseline_and_is_marked(driven: Study) -> None:
    rows = tuple(
        row for row in driven.observations if row.place == "East" or row.published > 2020.5
    )
    study = dataclasses.replace(
        driven, observations=dataclasses.replace(driven.observations, rows=rows)
    )
    result = at_origin(study, RULES, 2020.5, settings=QUICK, baselines=BASELINES)
    west = result["place"].values == "West"
    silent = np.isnan(result["forecast"].sel(forecaster="last level")).all("draw").values
    np.testing.assert_array_equal(silent, west)
    np.testing.assert_array_equal(result["first"].values == 1, west)
    np.testing.assert_array_equal(np.isnan(result["last"]), west)
    assert np.isfinite(result["forecast"].sel(forecaster="sd")).all()


def test_frozen_drivers_forecast_less_where_the_driver_drives(driven: Study) -> None:
    result = at_origin(driven, RULES, 2020.5, settings=QUICK)["forecast"]
    # The same draws and the same noise: only the series from the origin on differs, and it rises.
    assert (result.sel(forecaster="sd frozen drivers") < result.sel(forecaster="sd")).all()


def test_an_origin_without_past_or_future_is_refused(driven: Study) -> None:
    with pytest.raises(InputError, match="2010 has 0 observations to fit"):
        at_origin(driven, RULES, 2010.0, settings=QUICK)
    with pytest.raises(InputError, match="and 0 to forecast"):
        at_origin(driven, RULES, 2030.0, settings=QUICK)
    with pytest.raises(InputError, match="no origin was given"):
        backtest(driven, RULES, origins=[], settings=QUICK)


def test_a_finished_origin_is_kept_and_reused(driven: Study, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    calls = {"n": 0}

    def counted(*arguments: object, **named: object) -> FloatArray:
        calls["n"] += 1
        return last_level(*arguments, **named)  # type: ignore[arg-type]

    def run(dates: Sequence[float], settings: Settings = QUICK, jobs: int = 1) -> xr.Dataset:
        return backtest(
            driven, RULES, origins=dates, folder=tmp_path, settings=settings,
            baselines={"counted": counted}, jobs=jobs, progress=lambda *what: told.append(what),
        )  # fmt: skip

    first = run([2020.5, 2021.5], jobs=2)
    assert calls["n"] == 4  # two series from each origin
    assert told[-1] == ("origins", 2, 2)
    again = run([2021.5, 2020.5])
    assert calls["n"] == 4
    xr.testing.assert_identical(first, again)
    xr.testing.assert_identical(first, backtest(
        driven, RULES, origins=[2020.5, 2021.5], settings=QUICK, baselines={"counted": counted}
    ))  # fmt: skip
    calls["n"] = 0
    run([2020.5], dataclasses.replace(QUICK, seed=2))
    assert calls["n"] == 2
    # A file that is cut off is run again.
    path = tmp_path / "2021.5.nc"
    path.write_bytes(path.read_bytes()[:100])
    run([2021.5])
    assert calls["n"] == 4
    assert not list(tmp_path.glob(".*"))


def test_a_stopped_origin_goes_on_within_to_the_same_bits(
    driven: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(folder: Path, resume: bool = False, settings: Settings = QUICK) -> xr.Dataset:
        return backtest(
            driven, RULES, origins=[2021.5], folder=folder, settings=settings, resume=resume,
            baselines={"last level": last_level},
        )  # fmt: skip

    whole = run(tmp_path / "whole")
    folder, kept = tmp_path / "stopped", Pieces._write
    written: list[str] = []

    def write_and_stop(self: Pieces, path: Path, piece: dict[str, np.ndarray]) -> None:
        kept(self, path, piece)
        written.append(path.name)
        if len(written) == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Pieces, "_write", write_and_stop)
        with pytest.raises(KeyboardInterrupt):
            run(folder)
        assert [path.name for path in folder.iterdir()] == ["2021.5.unfinished"]
        with pytest.raises(InputError, match=r"belongs to another run .seed was 1 and is 2"):
            run(folder, resume=True, settings=dataclasses.replace(QUICK, seed=2))
        xr.testing.assert_identical(run(folder, resume=True), whole)
    # A fit and its draws for each of two models, and none of them twice.
    parts = ("refinement 0", "draws")
    assert written == [f"{name} {part}.npz" for name in FITTED for part in parts]
    assert [path.name for path in folder.iterdir()] == ["2021.5.nc"]
    with pytest.raises(
        InputError, match=r"the finished origin .* belongs to another run .seed was 1"
    ):
        run(folder, resume=True, settings=dataclasses.replace(QUICK, seed=2))
    with pytest.raises(InputError, match="there is no unfinished run"):
        run(tmp_path / "nowhere", resume=True)


def test_an_origin_depends_on_all_that_its_forecasts_do(driven: Study) -> None:
    def identity(
        study: Study = driven,
        rules: OriginRules = RULES,
        date: float = 2020.5,
        settings: Settings = QUICK,
        **more: object,
    ) -> str:
        found = origin_identity(study, rules, date, settings=settings, **more)  # type: ignore[arg-type]
        return json.dumps(found)

    others = [
        identity(date=2020.6),
        identity(rules=dataclasses.replace(RULES, sha256="1")),
        identity(settings=dataclasses.replace(QUICK, ex_post=True)),
        identity(baselines=BASELINES),
        identity(dataclasses.replace(driven, hashes={"study": "1"})),
    ]
    assert len({identity(), *others}) == 6


def test_an_origin_given_twice_is_refused(driven: Study, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="given twice"):
        backtest(driven, RULES, origins=[2020.5, 2020.5], folder=tmp_path, settings=QUICK)


def test_the_page_says_where_the_model_errs_and_what_is_left_out(driven: Study) -> None:
    result = at_origin(driven, RULES, 2020.5, settings=QUICK, baselines=BASELINES)
    page = as_text(summarise_skill(case_scores(result), "last level"))
    assert "8 cases from 1 origins, 2020.5 to 2020.5: 8 targets (places by years)" in page
    assert "Inputs: as known at the origin" in page
    # The last level of a series that grows by 0.1 a year errs by 0.1 to 0.4, and lies too low.
    lines = [line.split() for line in page.splitlines()]
    (lead,) = [line for line in lines if line[:2] == ["lead", "2"]]
    assert lead[2:6] == ["2", "2", "0.2", "-0.200"]
    assert "Left out, since their packages are not installed: with an extra" in page


def test_backtest_leaves_a_small_file_and_a_page(one_belt: str, tmp_path: Path) -> None:
    folder = tmp_path / "verified"
    done = CliRunner().invoke(
        app,
        ["backtest", one_belt, "--origins", "2022.5", "--draws", "4", "--moves", "1",
         "--starts", "1", "--output", str(folder)],
        catch_exceptions=False,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert {path.name for path in folder.iterdir()} == {"verification.nc", "summary.txt"}
    assert [path.name for path in (tmp_path / "verified-origins").iterdir()] == ["2022.5.nc"]
    with xr.open_dataset(folder / "verification.nc") as kept:
        assert kept["forecast"].dtype == np.float32
        assert kept.attrs["rules_sha256"] == ""  # the study has no such file
        assert kept.attrs["information"] == "as known at the origin"
        # The pools come last; where drift has no history they are the model alone.
        assert kept["forecaster"].values[-2:].tolist() == list(POOLS)
        assert np.isfinite(kept["forecast"].sel(forecaster=list(POOLS))).all()


def test_origins_that_are_no_dates_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--origins is '2021,x'"):
        CliRunner().invoke(
            app, ["backtest", "--origins", "2021,x", "--output", str(tmp_path / "v")],
            catch_exceptions=False,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("years", "values", "scale"),
    [
        ([2018, 2019, 2020], [10.0, 13.0, 11.0], 2.5),
        ([2018, 2020, 2021], [10.0, 50.0, 47.0], 3.0),
        ([2018, 2020, 2022], [10.0, 50.0, 47.0], np.nan),
        ([2018], [10.0], np.nan),
    ],
)
def test_the_scale_of_an_error_is_the_mean_change_of_years_that_follow_each_other(
    years: list[int], values: list[float], scale: float
) -> None:
    history = History(np.array(years), np.array(values), np.full(len(years), 0.1))
    np.testing.assert_equal(_scale(history), scale)
    np.testing.assert_equal(_scale(None), np.nan)


def test_each_case_has_the_draws_of_its_own_series_and_year(make: SimpleNamespace) -> None:
    """In whatever order they are asked for; two releases of a year share their draws."""
    asked: list[tuple[float, list[int], int]] = []

    def marked(request: Request, *, rng: np.random.Generator) -> FloatArray:
        asked.append((request.history.values[0], list(request.years), len(request.panel)))
        years = np.asarray(request.years, dtype=float)
        return request.history.values[0] * 1e4 + years + 0.1 * np.arange(request.size)[:, None]

    def case(place: str, year: int, value: float | None, **fields: object) -> Case:
        row = make.row(start=float(year), place=place, **fields)
        known = None if value is None else History(*map(np.array, ([2013], [value], [0.1])))
        return Case(row, 1, year, known, False, 2020.0)

    half = {"kind": "part-year", "end": 2016.5}
    cases = [
        case("West", 2016, 2.0),
        case("East", 2018, 1.0),
        case("North", 2016, None),
        case("East", 2016, 1.0, vintage="final"),
        case("West", 2015, 2.0),
        case("East", 2016, 1.0, vintage="preliminary"),
        case("East", 2016, 5.0, **half),
        case("East", 2017, 7.0, definition="wide"),
        case("East", 2017, 1.0),
    ]
    panel = [History(np.array([2013]), np.array([1.0]), np.array([0.1]))] * 3
    found = _of_baseline(marked, cases, panel, 4, np.random.default_rng(1))
    assert sorted(asked) == [
        (1.0, [2016, 2017, 2018], 3),
        (2.0, [2015, 2016], 3),
        (5.0, [2016], 3),
        (7.0, [2017], 3),
    ]
    for k, one in enumerate(cases):
        if one.history is None:
            assert np.isnan(found[:, k]).all()
        else:
            first = one.history.values[0] * 1e4 + one.year
            np.testing.assert_allclose(found[:, k], first + 0.1 * np.arange(4), rtol=1e-12)


def test_a_draw_that_is_not_positive_is_replaced_by_the_others_in_turn() -> None:
    """Of 6 draws the second, fourth and sixth fail somewhere; errors stay with their place."""
    logs = np.arange(18.0).reshape(6, 3) / 10
    logs[[1, 3, 5], [1, 2, 1]] = [np.nan, -np.inf, np.nan]
    sds = 0.1 + np.arange(18.0).reshape(6, 3) / 100
    errors = np.arange(12.0).reshape(6, 2) - 5.0
    stand_in = SimpleNamespace(expected=lambda theta: logs, row_sds=lambda theta: sds)
    found = _printed(stand_in, np.zeros((6, 1)), errors)  # type: ignore[arg-type]
    kept = [0, 0, 2, 2, 4, 4]
    np.testing.assert_allclose(np.log(found), logs[kept, 1:] + sds[kept, 1:] * errors, rtol=1e-12)
    logs[:, 1] = np.nan
    with pytest.raises(CalibrationError, match="none of 6 draws gives a positive value"):
        _printed(stand_in, np.zeros((6, 1)), errors)  # type: ignore[arg-type]


def test_the_usual_origins_are_eleven_half_years_to_a_year_and_a_half_after_the_past(
    study: Study,
) -> None:
    assert usual_origins(study) == tuple(2020.5 + 0.5 * k for k in range(11))
    assert study.years.past[1] == 2024.0
