"""The SDK's own types as our schema: the one place where they are converted.

Requests: the SDK's TypedDict params become strict pydantic models. Unknown keys are refused, lists are
lists (raw ``Iterable`` would accept bad items), unions are told apart by ``type`` so that one mistake
gives one error, and keys that travel as headers are dropped. Responses: the SDK's models as they are.

Importing the SDK takes over a second, so types are named by path and loaded at first use.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Required, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, Discriminator, GetJsonSchemaHandler, Tag, TypeAdapter, create_model
from pydantic_core import CoreSchema, core_schema
from typing_extensions import is_typeddict

from contract import sdk

if TYPE_CHECKING:
    from collections.abc import Callable

TYPES = "anthropic.types.beta"
OURS = "holdfast"  # the key of our own fields in requests and answers
HEADER_KEYS = frozenset({"betas", "workspace_id"})
SEQUENCES = frozenset({"Iterable", "SequenceNotStr", "Sequence", "list"})
TAG = "\u2039"  # starts the tag of a union's branch, so that error paths can leave it out

ALONE = "object"  # tag of the only object in a union with strings


def sdk_type(path: str) -> Any:
    """``sdk_type("agent_create_params.AgentCreateParams")`` -> that type of ``anthropic.types.beta``.

    A path that begins with ``anthropic.`` is a full one, for types outside of the beta.
    """
    module, _, name = path.rpartition(".")
    return getattr(sdk.part(module if path.startswith("anthropic.") else f"{TYPES}.{module}"), name)


@cache
def request_model(
    path: str, elsewhere: frozenset[str] = frozenset(), beside: type[BaseModel] | None = None
) -> type[BaseModel]:
    """The strict model of a params type, without the keys that travel elsewhere than in the body.

    ``beside`` is the model of our own fields, sent under the key ``holdfast``.
    """
    model = _model(sdk_type(path), HEADER_KEYS | elsewhere)
    if beside is None:
        return model
    own: dict[str, Any] = {OURS: (beside | None, None)}
    return create_model(model.__name__, __base__=model, **own)


def parse(
    path: str, value: Any, elsewhere: frozenset[str] = frozenset(), beside: type[BaseModel] | None = None
) -> dict[str, Any]:
    """``value``, found to be of a params type; strict checking changes nothing in it.

    Raises pydantic's ``ValidationError``.
    """
    request_model(path, elsewhere, beside).model_validate(value)
    checked: dict[str, Any] = value
    return checked


@dataclass(frozen=True)
class Params:
    """Marks a request body: ``Annotated[dict[str, Any], Params("agent_create_params.AgentCreateParams")]``.

    ``prepare`` may change the parsed JSON first, where the API accepts more than the types say.
    ``elsewhere`` names keys of the type that the SDK sends in the path or the query. ``beside`` is the
    model of the fields that only this server knows; they are sent under the key ``holdfast``.
    """

    path: str
    prepare: Callable[[Any], Any] | None = None
    elsewhere: frozenset[str] = frozenset()
    beside: type[BaseModel] | None = None

    def check(self, value: Any) -> dict[str, Any]:
        return parse(self.path, self.prepare(value) if self.prepare else value, self.elsewhere, self.beside)

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return handler(request_model(self.path, self.elsewhere, self.beside).__pydantic_core_schema__)


@dataclass(frozen=True)
class Answer:
    """Marks a response for the OpenAPI document; the answer itself passes unchanged.

    ``page`` wraps the type in the list envelope of spec core 2.4.
    """

    path: str
    page: bool = False

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        return core_schema.any_schema()

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        item = handler(TypeAdapter(sdk_type(self.path)).core_schema)
        if not self.page:
            return item
        cursor = {"anyOf": [{"type": "string"}, {"type": "null"}]}
        properties = {"data": {"type": "array", "items": item}, "next_page": cursor}
        return {"type": "object", "properties": properties, "required": ["data", "next_page"]}


@cache
def _model(kind: Any, dropped: frozenset[str] = HEADER_KEYS) -> type[BaseModel]:
    hints = get_type_hints(kind, include_extras=True)
    fields: dict[str, Any] = {
        name: (_convert(hint), ... if get_origin(hint) is Required else None)
        for name, hint in hints.items()
        if name not in dropped
    }
    extra: Literal["allow", "forbid"] = "allow" if getattr(kind, "__extra_items__", None) is object else "forbid"
    config = ConfigDict(strict=True, extra=extra, protected_namespaces=())
    return create_model(kind.__name__, __config__=config, **fields)


def _convert(hint: Any) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if is_typeddict(hint):
        return _model(hint)
    if origin in (Required, Annotated):
        return _convert(args[0])
    if origin in (Union, UnionType):
        return _union(args)
    if getattr(origin, "__name__", "") in SEQUENCES:
        return list[_convert(args[0])]  # type: ignore[misc]
    if origin is dict:
        return dict[str, _convert(args[1])]  # type: ignore[misc]
    return Any if hint is object else hint


def _union(members: tuple[Any, ...]) -> Any:
    objects = [member for member in members if is_typeddict(member)]
    scalars = [member for member in members if member is not NoneType and not is_typeddict(member)]
    if str in scalars:  # "any of these names, or another string" accepts any string
        scalars = [member for member in scalars if get_origin(member) is not Literal]
    plain = [_convert(member) for member in scalars]
    if objects and (len(objects) > 1 or scalars):
        plain = [_tagged(objects, plain)]
    else:
        plain += [_convert(member) for member in objects]
    return Union[(*plain, None)] if NoneType in members else Union[tuple(plain)]  # noqa: UP007  built at run time


def _tagged(objects: list[Any], scalars: list[Any]) -> Any:
    """A union whose branch is chosen by one look at the value, never by trying all of them."""
    key, branches = _discriminator(objects)
    choices = [Annotated[_convert(kind), Tag(TAG + value)] for value, kind in branches.items()]
    if scalars:
        choices.append(Annotated[Union[tuple(scalars)], Tag(TAG)])  # noqa: UP007  built at run time

    def tag(value: Any) -> str | None:
        if not isinstance(value, dict):
            return TAG if scalars else None
        name = value.get(key) if key else ALONE
        return TAG + name if isinstance(name, str) and name in branches else None

    message = f"must be an object whose `{key}` is one of: {', '.join(branches)}"
    choose = Discriminator(tag, custom_error_type="unknown_variant", custom_error_message=message)
    return Annotated[Union[tuple(choices)], choose]  # noqa: UP007  built at run time


def _discriminator(objects: list[Any]) -> tuple[str, dict[str, Any]]:
    """The required key whose literal tells the objects apart ("" if there is only one), and literal -> object."""
    if len(objects) == 1:
        return "", {ALONE: objects[0]}
    hints = [(kind, get_type_hints(kind, include_extras=True)) for kind in objects]
    for key in ("type", "name"):
        if all(get_origin(hint.get(key)) is Required for _, hint in hints):
            literals = {value: kind for kind, hint in hints for value in get_args(get_args(hint[key])[0])}
            if len(literals) >= len(objects):
                return key, literals
    raise TypeError(f"Nothing tells apart {', '.join(kind.__name__ for kind in objects)}.")
