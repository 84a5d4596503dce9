"""`beltcast identify`, from the command line to the files, on a study of two belts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from beltcast import make_likelihood, read_study
from beltcast.cli import app
from beltcast.drivers.answers import shown
from beltcast.errors import InputError
from beltcast.inference.audit.power_scaling import LIKELIHOOD, NUISANCES
from beltcast.inference.sampling.chain_files import load_posterior
from beltcast.study.starter import init

QUICK = ("--starts", "4", "--draws", "40", "--profiles", "1", "--sources", "2")


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_every_answer_is_told_with_its_contraction_and_the_priors_that_move_it(
    tmp_path: Path,
) -> None:
    init(tmp_path / "mine", belts=["Foshan", "东莞"])
    folder = tmp_path / "identified"
    page = run("identify", str(tmp_path / "mine"), *QUICK, "--output", str(folder))
    assert "Contraction of the answers by the observations" in page
    assert "Priors that move an answer" in page
    study = read_study(tmp_path / "mine")
    narrowed = pd.read_csv(folder / "contraction.csv", index_col="answer")
    assert {"output, All belts 2030", "output, Foshan 2030"} <= set(narrowed.index)
    ratio = narrowed["posterior_sd"] / narrowed["prior_sd"]
    np.testing.assert_allclose(narrowed["contraction"], 1.0 - ratio**2, atol=4e-3)
    moved = pd.read_csv(folder / "power-scaling.csv", index_col=["answer", "part"])
    parts = moved.index.get_level_values("part").unique()
    assert set(parts) == {LIKELIHOOD, NUISANCES, *study.priors.roles}
    assert len(moved) == len(narrowed) * len(parts)
    by_source = pd.read_csv(folder / "left-out-sources.csv")
    # The template's observations are all of one source, without which nothing would be left to fit.
    assert by_source.empty
    assert list(by_source.columns) == ["group", "rows", "answer 0"]
    pictures = {path.stem for path in folder.glob("*.png")}
    assert {"waterfall", "sd-ratios", "answers", "power-scaling"} <= pictures
    pairs = pd.read_csv(folder / "confounded.csv")
    assert sum(name.startswith("pair-") for name in pictures) == min(6, len(pairs))
    assert sum(name.startswith("profile-") for name in pictures) == 1


def test_draws_of_beltcast_sample_are_taken_as_they_are(tmp_path: Path) -> None:
    init(tmp_path / "mine", belts=["Foshan"])
    mine, chains, folder = (str(tmp_path / name) for name in ("mine", "chains", "identified"))
    few = ("--chains", "2", "--draws", "30", "--every", "2", "--burn-in", "20", "--starts", "2")
    run("sample", mine, *few, "--output", chains)
    run("identify", mine, *QUICK, "--profiles", "0", "--posterior", chains, "--output", folder)
    study = read_study(mine)
    likelihood = make_likelihood(study.model, study.priors, study.observations, study.noise)
    drawn = load_posterior(chains, study, likelihood)
    answers = shown(study, drawn, years=[2030], rng=1)
    narrowed = pd.read_csv(tmp_path / "identified" / "contraction.csv", index_col="answer")
    name = "output, Foshan 2030"
    middle = answers.sel(answer=name).median().item()
    assert narrowed.loc[name, "posterior_median"] == pytest.approx(middle, rel=1e-3)


def test_priors_are_grouped_by_role_or_by_parameter_only(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--by is 'belt'; expected role or parameter"):
        run("identify", "--by", "belt", "--output", str(tmp_path / "x"))
    assert not (tmp_path / "x").exists()
