"""Request schemas: strict types, null is absent, faults in plain English."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, TypeAlias, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ValidationError,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, ErrorDetails, PydanticCustomError

from edge_llama.errors import InvalidValue, RequestError, UnsupportedParameter

JSONObject: TypeAlias = dict[str, Any]
"""JSON with whatever keys: a JSON Schema, a function, the arguments of a call."""

INT64_MIN = -(2**63)
INT64_MAX = 2**63 - 1

MAX_FIELDS = 256
"""Of an object with fields of its own; those that no schema knows count too."""

_INVALID = "invalid_value"
_UNSUPPORTED = "unsupported_parameter"

_TEXTS = {
    "missing": "is required.",
    "string_type": "must be a string.",
    "string_too_short": "must not be empty.",
    "bool_type": "must be true or false.",
    "int_type": "must be an integer.",
    "float_type": "must be a number.",
    "finite_number": "must be a finite number.",
    "greater_than_equal": "must be at least {ge}.",
    "less_than_equal": "must be at most {le}.",
    "list_type": "must be a list.",
    "too_short": "must have at least {min_length} entry.",
    "too_long": "must have at most {max_length} entries.",
    "model_type": "must be an object.",
    "dict_type": "must be an object.",
    "literal_error": "must be {expected}.",
}


class Schema(BaseModel):
    """The base of all request schemas: unknown keys are kept apart, null means absent.

    Attributes:
        takes_all: unknown keys are used too.
    """

    takes_all: ClassVar[bool] = False

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        if len(value) > MAX_FIELDS:
            raise invalid(f"must have at most {MAX_FIELDS} fields.")
        if None not in value.values():
            return value
        return {key: entry for key, entry in value.items() if entry is not None}

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """The documentation says too that null means absent."""
        schema = handler(core_schema)
        told = handler.resolve_ref_schema(schema)
        properties = told.get("properties", {})
        for name in properties.keys() - set(told.get("required", ())):
            properties[name] = _or_null(properties[name])
        return schema


S = TypeVar("S", bound=Schema)


def validate(schema: type[S], value: Any) -> S:
    """`value` as an instance of `schema`.

    Raises:
        RequestError: it does not fit; `param` has the path of the first fault in OpenAI's form,
            e.g. `messages[0].content`.
    """
    try:
        return schema.model_validate(value)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)[0]
    raise _request_error(details)


def invalid(text: str, *, field: str | None = None) -> PydanticCustomError:
    """To raise in a validator: the value cannot be used.

    Args:
        text: follows the name of the field, e.g. `must not be empty.`
        field: the entry of the value that is at fault.
    """
    return _fault(_INVALID, text, field)


def missing(field: str) -> PydanticCustomError:
    """To raise in a validator: the object lacks `field`."""
    return _fault(_INVALID, _TEXTS["missing"], field)


def unsupported(text: str, *, field: str | None = None) -> PydanticCustomError:
    """To raise in a validator: the value asks for something that is not implemented."""
    return _fault(_UNSUPPORTED, text, field)


def _fault(code: str, text: str, field: str | None) -> PydanticCustomError:
    return PydanticCustomError(code, "{text}", {"text": text, "field": field})


def _request_error(details: ErrorDetails) -> RequestError:
    context = details.get("ctx", {})
    path = details["loc"]
    if context.get("field") is not None:
        path = (*path, context["field"])
    param = _param(path)
    template = _TEXTS.get(details["type"])
    text = details["msg"] if template is None else template.format_map(context)
    message = f"{param or 'The body'} {text}"
    if details["type"] == _UNSUPPORTED:
        return UnsupportedParameter(message, param=param)
    return InvalidValue(message, param=param or None)


def _param(path: tuple[int | str, ...]) -> str:
    parts = (f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
    return "".join(parts).removeprefix(".")


def _integral(value: Any) -> Any:
    """Languages with one number type write 5 as 5.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def without_nul(text: str) -> str:
    """`text`, if it has no NUL: C libraries take it for the end."""
    if "\0" in text:
        raise invalid("contains a NUL character (\\u0000). Remove it.")
    return text


def _or_null(field: JsonSchemaValue) -> JsonSchemaValue:
    """The JSON Schema of a field that may be absent."""
    told = {key: field.pop(key) for key in ("title", "description", "default") if key in field}
    if isinstance(told.get("default"), dict):
        del told["default"]  # The fields of an object have defaults of their own.
    options = field["anyOf"] if field.keys() == {"anyOf"} else [field]
    if {} not in options and _NULL not in options:
        field = {"anyOf": [*options, _NULL]}
    return field | told


_NULL = {"type": "null"}
_WITHOUT_NUL = Field(json_schema_extra={"pattern": r"^[^\x00]*$"})

TextIn = Annotated[str, AfterValidator(without_nul), _WITHOUT_NUL]
Name = Annotated[str, Field(min_length=1), AfterValidator(without_nul), _WITHOUT_NUL]
Number = Annotated[float, Field(allow_inf_nan=False)]
Integral = BeforeValidator(_integral)
"""Comes after the bounds, which are not documented otherwise."""
Integer = Annotated[int, Field(ge=INT64_MIN, le=INT64_MAX), Integral]
Count = Annotated[int, Field(ge=1, le=INT64_MAX), Integral]
