"""Numbers in JSON Schemas of what we write."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue


class NullableNumbers(GenerateJsonSchema):
    """A bound that is not known, or an estimate without data, is null in JSON."""

    def float_schema(self, schema: Any) -> JsonSchemaValue:
        return {**super().float_schema(schema), "type": ["number", "null"]}
