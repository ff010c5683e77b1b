"""What the user asked for, as one tree: a recipe, `--set PATH=VALUE` and the options, later ones winning."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from limpid.core.errors import RequestError
from limpid.core.files import read_bounded
from limpid.core.names import did_you_mean

FORMAT = 1
SECTIONS = ("seed", "data", "split", "task", "net", "nets", "train", "evaluate")
_RECIPE_LIMIT = 8 << 20
_MAX_DEPTH = 20


class _Loader(yaml.SafeLoader):
    """Safe YAML that also refuses aliases, which can blow a small file up to any size, and a key that stands twice."""

    def compose_node(self, parent: Any, index: int) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not allowed")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        result = super().construct_mapping(node, deep=deep)
        if len(result) != len(node.value):
            raise yaml.YAMLError("a key stands twice in one mapping")
        return result


def parse_yaml(text: str, *, where: str) -> Any:
    """Read YAML of unknown origin.

    Raises:
        RequestError: it is not YAML, or uses tags or aliases, or is nested too deeply.
    """
    try:
        loader = _Loader(text)
        try:
            value = loader.get_single_data()
        finally:
            loader.dispose()
        _check_depth(value)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else "it is nested too deeply"
        raise RequestError(
            f"this is not plain YAML: {reason}",
            where=where,
            expected="plain YAML: mappings, lists, numbers, words",
            fix="quote values with special characters, for example --set 'data.weight=\"my column\"'",
        ) from error
    return value


def _check_depth(value: Any, depth: int = 0) -> None:
    if depth > _MAX_DEPTH:
        raise ValueError("it is nested too deeply")
    if isinstance(value, Mapping):
        for inner in value.values():
            _check_depth(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _check_depth(inner, depth + 1)


def read_recipe(path: Path) -> dict[str, Any]:
    """A plan written earlier, or a part of one, as a settings tree.

    Raises:
        RequestError: missing, not YAML, or with sections that a plan does not have.
    """
    text = read_bounded(path, _RECIPE_LIMIT, RequestError, noun="recipe").decode("utf-8", errors="replace")
    tree = parse_yaml(text, where=str(path))
    if not isinstance(tree, dict):
        raise RequestError(
            "the recipe is not a mapping",
            where=str(path),
            expected=f"sections such as {', '.join(SECTIONS)}",
            fix="start from the plan.yaml of a run",
        )
    known = {*SECTIONS, "limpid", "format", "because", "machine", "budget_seconds"}
    for key in tree:
        if key not in known:
            raise RequestError(
                f"the recipe has a section {key!r} that a plan does not have",
                where=str(path),
                expected=f"sections {', '.join(SECTIONS)}",
                fix=did_you_mean(str(key), SECTIONS),
            )
    if tree.get("format", FORMAT) != FORMAT:
        raise RequestError(
            f"the recipe has format {str(tree['format'])[:100]!r}",
            where=str(path),
            expected=f"format {FORMAT}",
            fix="make the plan anew with limpid plan",
        )
    return _checked(tree, str(path))


def _checked(tree: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The tree with a mapping in each section; a bare word for a net or a task is its name.

    Raises:
        RequestError: a section holds something else.
    """
    result = {key: value for key, value in tree.items() if value is not None}
    for name in ("net", "task"):
        if isinstance(result.get(name), str):
            result[name] = {"name": result[name]}
    for name in (*SECTIONS[1:], "because"):
        _need(result.get(name, {}), Mapping, name, where, "a mapping of settings to values")
    for name in ("net", "task"):
        _need(result.get(name, {}).get("name", ""), str, f"{name}.name", where, "a name")
    for name, inner in (("data.columns", result.get("data", {}).get("columns")), ("nets", result.get("nets"))):
        _need({} if inner is None else inner, Mapping, name, where, "a mapping with an entry for each column")
    target = result.get("data", {}).get("target")
    _need([] if target is None else target, str | list | tuple, "data.target", where, "a column, or a list of them")
    return result


def _need(value: Any, kind: Any, path: str, where: str, expected: str) -> None:
    if not isinstance(value, kind):
        raise RequestError(
            f"{path} cannot be {str(value)[:100]!r}",
            where=f"{where}: {path}",
            expected=expected,
            fix="start from the plan.yaml that limpid plan prints",
        )


def parse_sets(sets: Mapping[str, Any] | Iterable[str] | None) -> dict[str, Any]:
    """`--set` options, or Python's `set={...}`, as a settings tree.

    Args:
        sets: {"train.lr": 0.01} or ["train.lr=0.01", ...]; a column name that contains dots is quoted
            ("data.columns.'a.b'=category").

    Raises:
        RequestError: an option is not PATH=VALUE, or its section does not exist.
    """
    tree: dict[str, Any] = {}
    if sets is None:
        return tree
    if isinstance(sets, Mapping):
        pairs = [(str(k), v) for k, v in sets.items()]
    else:
        pairs = []
        for item in [sets] if isinstance(sets, str) else sets:
            path, equals, value = str(item).partition("=")
            if not equals or not path.strip():
                raise RequestError(
                    f"{item!r} is not PATH=VALUE",
                    where=f"--set {item}",
                    expected="a dotted path, an equals sign and a value, such as train.lr=0.01",
                    fix="add the missing part",
                )
            pairs.append((path.strip(), parse_yaml(value, where=f"--set {item}")))
    for path, value in pairs:
        put(tree, split_path(path) or [""], value, where=f"--set {path}")
    return _checked(tree, "--set")


def split_path(path: str) -> list[str]:
    """Split a dotted path; parts in single or double quotes keep their dots.

    Example:
        >>> split_path("data.columns.'a.b'")
        ['data', 'columns', 'a.b']
    """
    parts: list[str] = []
    rest = path
    while rest:
        if rest[0] in "'\"" and (end := rest.find(rest[0], 1)) > 0:
            parts.append(rest[1:end])
            rest = rest[end + 1 :].removeprefix(".")
        else:
            head, _, rest = rest.partition(".")
            parts.append(head)
    return parts


def put(tree: dict[str, Any], path: list[str], value: Any, *, where: str) -> None:
    """Write one value into a settings tree.

    Raises:
        RequestError: the section does not exist, or the path runs through a value.
    """
    if path[0] not in SECTIONS:
        raise RequestError(
            f"{path[0]!r} is not a section of the plan",
            where=where,
            expected=f"a path that begins with {', '.join(SECTIONS)}",
            fix=did_you_mean(path[0], SECTIONS),
        )
    node = tree
    for step in path[:-1]:
        inner = node.setdefault(step, {})
        if not isinstance(inner, dict):
            inner = node[step] = {"kind": inner} if path[:2] == ["data", "columns"] else {"name": inner}
        node = inner
    last = path[-1]
    if isinstance(value, Mapping) and isinstance(node.get(last), dict):
        node[last] = merge(node[last], value)
    else:
        node[last] = dict(value) if isinstance(value, Mapping) else value


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of `base` with `over` laid on it; mappings are merged, everything else is replaced."""
    result = dict(base)
    for key, value in over.items():
        old = result.get(key)
        result[key] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result


def seconds(budget: str | float | None) -> float | None:
    """A wall-time budget in seconds from 90, "90", "60s", "2m" or "1.5h".

    Raises:
        RequestError: it is not a positive length of time.

    Example:
        >>> seconds("2m")
        120.0
    """
    if budget is None:
        return None
    units = {"s": 1.0, "m": 60.0, "h": 3600.0}
    text = str(budget).strip().casefold()
    factor = units.get(text[-1:], 1.0)
    digits = text[:-1] if text[-1:] in units else text
    try:
        value = float(digits) * factor
    except ValueError:
        value = float("nan")
    if not 0 < value < float("inf"):
        raise RequestError(
            f"{budget!r} is not a length of time",
            where="--budget",
            expected="a positive number of seconds, or one followed by s, m or h, such as 60s or 2m",
            fix="write it like --budget 60s",
        )
    return value
