"""How does a part of a scenario's form look to the reader and to the schema? What all its models share.

Every part is frozen, refuses words it does not know, and is written with hyphens. It knows pydantic; it may not know
any particular part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema


def hyphened(name: str) -> str:
    """A field's name as it stands in a file."""
    return name.strip("_").replace("_", "-")


class Part(BaseModel):
    """One mapping of the form."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=hyphened, use_attribute_docstrings=True, str_strip_whitespace=True
    )

    @property
    def told(self) -> dict[str, Any]:
        """What the file says here, by field; what was left out is left out."""
        return {
            name: getattr(self, name) for name in sorted(self.model_fields_set, key=list(type(self).model_fields).index)
        }


class Whom(StrEnum):
    """What a name in a scenario must refer to."""

    PATIENT = "patient"
    ORGANISATION = "organisation"
    CUSTODIAN = "custodian"
    PRACTICE = "GP practice"
    PHARMACY = "pharmacy"
    REQUESTER = "requester"
    MESSAGE = "message"


@dataclass(frozen=True, slots=True)
class Refers:
    """Marks a text as the name of something the scenario itself introduces."""

    to: Whom


PatientName = Annotated[str, Refers(Whom.PATIENT)]
OrganisationName = Annotated[str, Refers(Whom.ORGANISATION)]
CustodianName = Annotated[str, Refers(Whom.CUSTODIAN)]
PracticeName = Annotated[str, Refers(Whom.PRACTICE)]
PharmacyName = Annotated[str, Refers(Whom.PHARMACY)]
RequesterName = Annotated[str, Refers(Whom.REQUESTER)]
MessageName = Annotated[str, Refers(Whom.MESSAGE)]


@dataclass(frozen=True, slots=True)
class Words:
    """Marks a text as one of a list of words; in the schema an enumeration."""

    allowed: Sequence[str]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._known, handler(source))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "enum": list(self.allowed)}

    def _known(self, word: str) -> str:
        if word not in self.allowed:
            raise PydanticCustomError("unknown_word", "unknown", {"word": word, "allowed": list(self.allowed)})
        return word


@dataclass(frozen=True, slots=True)
class Short:
    """Marks a part that may be written as one text: the text is then what `field` says."""

    field: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._long, handler(source))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [{"type": "string", "description": f"short for {{{self.field}: …}}"}, handler(core)]}

    def _long(self, value: Any) -> Any:
        return {self.field: value} if isinstance(value, str) else value


class Listed:
    """Marks a list that may be written without brackets when it has one item."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(_list, handler(source))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler(core)
        return {"anyOf": [schema["items"], schema]}


def _list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _not_blank(text: str) -> str:
    if not text:
        raise PydanticCustomError("blank", "needs some text")
    return text


Sentence = Annotated[str, AfterValidator(_not_blank)]
