"""The schemas in the repository are the model's, and say what the readers say."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from beltcast import Model, load_model
from beltcast.study.json_schemas import parameters_schema, scenarios_schema

MAKERS = {"scenarios": scenarios_schema, "parameters": parameters_schema}


@pytest.fixture(scope="module")
def model(root: Path) -> Model:
    return load_model(root / "models/belt/belt.mdl")


@pytest.mark.parametrize("name", MAKERS)
def test_the_schema_in_the_repository_is_the_models(root: Path, model: Model, name: str) -> None:
    kept = json.loads((root / f"models/schemas/{name}.schema.json").read_text(encoding="utf-8"))
    assert kept == MAKERS[name](model), "run: beltcast schemas --output models/schemas"


@pytest.mark.parametrize("name", MAKERS)
def test_the_shipped_file_keeps_to_its_schema(root: Path, model: Model, name: str) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    file = tomllib.loads((root / f"models/belt/{name}.toml").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(MAKERS[name](model))
    jsonschema.validate(file, MAKERS[name](model))


@pytest.mark.parametrize(
    ("scenario", "good"),
    [
        ({"title": "T", "constants": {"Tariff Add": 0.3}}, True),
        ({"title": "T", "constants": {"Zone Year": {"Yiwu": 2030.0}}}, True),
        ({"constants": {"Tariff Add": 0.3}}, False),
        ({"title": "T", "constant": {"Tariff Add": 0.3}}, False),
        ({"title": "T", "constants": {"Tariff Add": "high"}}, False),
        (
            {
                "title": "T",
                "constants": {
                    "Tariff Add": {
                        "distribution": "normal",
                        "mean": 0.3,
                        "sd": 0.1,
                        "bounds": [0, 1],
                    }
                },
            },
            True,
        ),
        (
            {"title": "T", "constants": {"Tariff Add": {"distribution": "normal", "mean": 0.3}}},
            False,
        ),
        ({"title": "T", "inputs": {"published imports": {"2027": 500.0}}}, True),
        ({"title": "T", "inputs": {"published imports": {"soon": 500.0}}}, False),
    ],
)
def test_a_scenario_passes_or_fails_as_it_would_at_the_reader(
    model: Model, scenario: dict[str, Any], good: bool
) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(scenarios_schema(model))
    assert validator.is_valid({"mine": scenario}) is good
