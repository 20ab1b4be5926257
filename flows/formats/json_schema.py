"""JSON that we write, and JSON Schemas of what we read and write."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue


class JsonDocument(BaseModel):
    """What we write; a number that isn't known is null."""

    model_config = ConfigDict(ser_json_inf_nan="null")

    def to_json(self) -> str:
        """The JSON text, byte for byte the same for the same document."""
        return self.model_dump_json(indent=2) + "\n"


class NullableNumbers(GenerateJsonSchema):
    """A bound that is not known, or an estimate without data, is null in JSON."""

    def float_schema(self, schema: Any) -> JsonSchemaValue:
        return {**super().float_schema(schema), "type": ["number", "null"]}


def schema_text(name: str, schema: Mapping[str, Any]) -> str:
    """A JSON Schema (draft 2020-12) as the file schemas/<name>.schema.json has it."""
    header = {
        "$schema": GenerateJsonSchema.schema_dialect,
        "$id": f"https://split-verdict.invalid/{name}.schema.json",
    }
    return json.dumps({**header, **schema}, indent=2) + "\n"


def document_schema(
    name: str,
    model: type[BaseModel],
    generator: type[GenerateJsonSchema] = NullableNumbers,
) -> str:
    """The JSON Schema of a document that we write."""
    schema = model.model_json_schema(mode="serialization", schema_generator=generator)
    return schema_text(name, schema)
