"""The JSON Schema of a spec, for editors."""

import json

from pydantic.json_schema import GenerateJsonSchema

from flows.spec import Experiment

SCHEMA_ID = "https://split-verdict.invalid/experiment.schema.json"


def experiment_schema() -> str:
    """JSON Schema (draft 2020-12) of what a person may write in experiments/*.yaml."""
    schema = Experiment.model_json_schema(mode="validation")
    header = {"$schema": GenerateJsonSchema.schema_dialect, "$id": SCHEMA_ID}
    return json.dumps({**header, **schema}, indent=2) + "\n"
