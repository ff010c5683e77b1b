"""Settings that a person can read, edit and replay: frozen, typed, unknown keys refused with the nearest name.

A component's spec stands in the component's own file and derives from `Spec`. A field that the plan decides is
`Auto | X` with the default "auto"; the plan replaces it, with a reason. Every field carries a `description` with
its unit, from which help, docs and error messages are made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from limpid.core.errors import RequestError, raise_together
from limpid.core.names import did_you_mean

Auto = Literal["auto"]
AUTO: Auto = "auto"


class Spec(BaseModel):
    """Base of every settings class."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, ser_json_inf_nan="constants")

    def autos(self) -> list[str]:
        """Names of the fields that still say "auto", those of inner settings by dotted path."""
        found: list[str] = []
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, Spec):
                found += [f"{name}.{inner}" for inner in value.autos()]
            elif isinstance(value, str) and value == AUTO:
                found.append(name)
        return found

    def with_(self, **changes: Any) -> Self:
        """A copy with some fields replaced, checked like a new one."""
        return type(self).model_validate({**self.model_dump(), **changes})


S = TypeVar("S", bound=Spec)


def parse(spec: type[S], values: Mapping[str, Any], *, where: str) -> S:
    """Build a spec from a mapping that a user wrote; every problem of it is said at once.

    Args:
        spec: the class to build.
        values: the mapping.
        where: dotted path of the mapping, for the messages ("net", "train").

    Raises:
        RequestError: naming each wrong field, what it may hold and the nearest name of an unknown one.
    """
    try:
        return spec.model_validate(dict(values))
    except ValidationError as error:
        fields: dict[str, list[Any]] = {}
        for problem in error.errors():
            # A union's error location ends in the name of the branch tried; only the leading field name helps users.
            fields.setdefault(str(problem["loc"][0]) if problem["loc"] else "", []).append(problem)
        raise_together([_translate(spec, field, problems, where) for field, problems in fields.items()])
        raise AssertionError("a validation error without errors") from error


def _translate(spec: type[Spec], field: str, problems: Sequence[Any], where: str) -> RequestError:
    # Of the branches of a union, those that are fixed words say no more than what is expected does.
    problem = min(problems, key=lambda p: p["type"] == "literal_error")
    path = f"{where}.{field}" if field else where
    if problem["type"] == "extra_forbidden":
        known = list(spec.model_fields)
        return RequestError(
            f"{path} is not a setting",
            where=path,
            expected=f"one of {', '.join(known)}" if known else f"{where} takes no settings",
            fix=did_you_mean(field, known) if known else f"remove {path}",
        )
    info = spec.model_fields.get(field)
    meaning = f" ({info.description})" if info is not None and info.description else ""
    expected = "a valid value" if info is None else _readable(info.annotation) + _bounds(info.metadata)
    reason = problem["msg"].removeprefix("Value error, ")
    return RequestError(
        f"{path} cannot be {str(repr(problem.get('input')))[:200]}"
        + ("" if problem["type"] == "literal_error" else f": {reason[:1].lower()}{reason[1:]}"),
        where=path,
        expected=f"{expected}{meaning}",
        fix=f"pass --set {path}=VALUE with such a value, or leave it out for the default",
    )


def _bounds(metadata: Sequence[Any]) -> str:
    """The limits of a number as a person would say them."""
    words = {"ge": "of at least", "gt": "above", "le": "at most", "lt": "below"}
    found = [f"{text} {getattr(m, name):g}" for m in metadata for name, text in words.items() if hasattr(m, name)]
    return " " + " and ".join(found) if found else ""


def _readable(annotation: Any) -> str:
    """A type as a person would say it."""
    if annotation is None or annotation is type(None):
        return "nothing"
    if str(annotation).startswith("typing.Literal"):
        return " or ".join(repr(a) for a in get_args(annotation))
    names = {int: "a whole number", float: "a number", str: "a word", bool: "true or false"}
    if annotation in names:
        return names[annotation]
    inner = get_args(annotation)
    if hasattr(annotation, "__metadata__"):
        return _readable(inner[0]) + "".join(_bounds(getattr(field, "metadata", ())) for field in inner[1:])
    origin = getattr(annotation, "__origin__", None)
    if origin in (tuple, list):
        kinds = [a for a in inner if a is not Ellipsis]
        return "a list of " + (_readable(kinds[0]) if kinds else "values")
    if inner:
        return " or ".join(_readable(a) for a in inner)
    return getattr(annotation, "__name__", str(annotation))
