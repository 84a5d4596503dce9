"""JSON Schemas of the TOML files beside a model, so that an editor completes and checks them.

A schema lists the model's constants and inputs by name, with their units and meanings.  It is made
from the model (``beltcast schemas``), never written by hand; what a schema cannot express, such as
a circle of ``extends``, is left to `read_scenarios` and `read_priors`.
"""

from __future__ import annotations

from typing import Any

from beltcast.model.model import Model
from beltcast.schema import TIME
from beltcast.study.distributions import FAMILIES, Family
from beltcast.study.scenarios import SIZES

DRAFT = "https://json-schema.org/draft/2020-12/schema"

_CONTROLS = {"INITIAL TIME", "FINAL TIME", "TIME STEP", "SAVEPER"}

Schema = dict[str, Any]

_BOUNDS: Schema = {
    "type": "array",
    "items": {"type": "number"},
    "minItems": 2,
    "maxItems": 2,
    "description": "[lower, upper], in the constant's own unit.",
}


def schemas(model: Model) -> dict[str, Schema]:
    """Return the schemas of the files beside a model, by the name of the file.

    Examples
    --------
    >>> from beltcast import load_model, schemas
    >>> from beltcast.files.shipped import shipped
    >>> sorted(schemas(load_model(shipped("models/decay/decay.mdl"))))
    ['parameters', 'scenarios']
    """
    return {"scenarios": scenarios_schema(model), "parameters": parameters_schema(model)}


def scenarios_schema(model: Model) -> Schema:
    """Return the schema of a file of scenarios for a model.

    Examples
    --------
    >>> from beltcast import load_model
    >>> from beltcast.files.shipped import shipped
    >>> from beltcast.study.json_schemas import scenarios_schema
    >>> schema = scenarios_schema(load_model(shipped("models/decay/decay.mdl")))
    >>> sorted(schema["$defs"]["constants"]["properties"])
    ['Initial Stock', 'Lifetime']
    """
    elements = {
        "type": "object",
        "additionalProperties": {"$ref": "#/$defs/size"},
        "minProperties": 1,
    }
    value = {"anyOf": [{"$ref": "#/$defs/size"}, elements]}
    return {
        "$schema": DRAFT,
        "title": f"Scenarios of the model {model.name}",
        "type": "object",
        "additionalProperties": {"$ref": "#/$defs/scenario"},
        "$defs": {
            "scenario": {
                "type": "object",
                "additionalProperties": False,
                "required": ["title"],
                "properties": {
                    "extends": _text("Name of the scenario that this one starts from."),
                    "title": {**_text("A title for people."), "minLength": 1},
                    "title_zh": _text("The title in Chinese."),
                    "text": _text("What is assumed."),
                    "text_zh": _text("What is assumed, in Chinese."),
                    "code": _text("A short code, such as S7."),
                    "constants": {"$ref": "#/$defs/constants"},
                    "inputs": {"$ref": "#/$defs/inputs"},
                },
            },
            "constants": {
                "type": "object",
                "description": "Constants to set; Name[Element] or a table sets single elements.",
                "properties": _described(model, "constant", value),
                "additionalProperties": value,
            },
            "inputs": {
                "type": "object",
                "description": "Input series to replace from the first given year on.",
                "properties": _described(model, "input", {"$ref": "#/$defs/points"}),
                "additionalProperties": {"$ref": "#/$defs/points"},
            },
            "points": {
                "type": "object",
                "minProperties": 1,
                "propertyNames": {"pattern": r"^[0-9]+(\.[0-9]+)?$"},
                "additionalProperties": {"type": "number"},
                "description": f'Values by {TIME}, such as "2027" = 7.0.',
            },
            "size": {
                "description": "A number, or a distribution that is drawn for each member.",
                "anyOf": [{"type": "number"}, *(_family(name, {}, []) for name in SIZES)],
            },
        },
    }


def parameters_schema(model: Model) -> Schema:
    """Return the schema of a file of priors for a model."""
    texts = {
        "unit": _text("As the model file says it."),
        "role": _text("driver, pooled, place, literature, observation or future."),
        "source": {**_text("Where the prior comes from, or 'judgement' and why."), "minLength": 1},
        "per": _text("Subscript range: one parameter for each of its elements."),
        "pool": {
            "enum": ["fixed", "pooled", "each", "partial"],
            "description": "Not estimated, one for all elements, one for each, or one for each "
            "around a common mean.",
        },
        "between": {
            "type": "number",
            "exclusiveMinimum": 0,
            "description": "With pool = 'partial': median sd between elements, working scale.",
        },
        "between_log_sd": {
            "type": "number",
            "exclusiveMinimum": 0,
            "description": "With pool = 'partial': log sd of that sd; 0.5 by default.",
        },
    }
    uniform = {
        "type": "object",
        "additionalProperties": False,
        "required": ["distribution", "bounds", "unit", "source"],
        "properties": {
            "distribution": {"const": "uniform"},
            "bounds": _BOUNDS,
            **{name: texts[name] for name in ("unit", "role", "source", "per", "pool")},
        },
    }
    return {
        "$schema": DRAFT,
        "title": f"Priors of the model {model.name}",
        "type": "object",
        "properties": _described(model, "constant", {"$ref": "#/$defs/prior"}),
        "additionalProperties": {"$ref": "#/$defs/prior"},
        "$defs": {
            "prior": {
                "anyOf": [
                    *(_family(name, texts, ["unit", "source"], by_element=True) for name in SIZES),
                    uniform,
                ]
            }
        },
    }


def _family(name: Family, more: Schema, required: list[str], *, by_element: bool = False) -> Schema:
    """Schema of a distribution: its family, centre, width, bounds."""
    centre, sd = FAMILIES[name].centre, FAMILIES[name].sd
    number: Schema = {"type": "number"}
    positive: Schema = {"type": "number", "exclusiveMinimum": 0}
    if by_element:
        number = {"anyOf": [number, {"type": "object", "additionalProperties": number}]}
        positive = {"anyOf": [positive, {"type": "object", "additionalProperties": positive}]}
    # Without a centre of its own a prior takes the model's value; a size has no such value.
    needed = ["distribution", sd, *required, *([] if by_element else [centre])]
    return {
        "type": "object",
        "additionalProperties": False,
        "required": needed,
        "properties": {
            "distribution": {"const": name},
            centre: number,
            sd: positive,
            "bounds": _BOUNDS,
            **more,
        },
    }


def _described(model: Model, kind: str, schema: Schema) -> Schema:
    """One property per variable of a kind, with its unit and meaning."""
    return {
        v.name: {"description": f"[{v.unit}] {v.doc}".strip(), **schema}
        for v in model.variables.values()
        if v.kind == kind and v.name not in _CONTROLS
    }


def _text(description: str) -> Schema:
    return {"type": "string", "description": description}
