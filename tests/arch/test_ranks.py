"""Imports flow one way, lazy ones and those for type checkers included."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import limpid

SOURCE = Path(limpid.__file__).parent
ORDER = (
    ("_version",),
    ("core",),
    ("data",),
    ("layers",),
    ("modalities", "nets", "tasks"),
    ("planning",),
    ("bundle",),
    ("training",),
    ("evaluation",),
    ("explanation",),
    ("auditing",),
    ("tuning",),
    ("reporting",),
    ("exporting",),
    ("serving",),
    ("monitoring",),
    ("api",),
    ("cli", "web"),
    ("__init__", "__main__"),
)
RANK = {name: rank for rank, names in enumerate(ORDER) for name in names}
BRACES = {"modalities", "nets", "tasks"}
FACES = {"cli", "web"}
SEEN_BY_FACES = {"limpid.api", "limpid._version", "limpid.core.errors", "limpid.core.names", "limpid.core.events"}
WITHOUT_TORCH = {"core", "data", "modalities", "cli"}
FILES = sorted(SOURCE.rglob("*.py"))


def module_of(path: Path) -> str:
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(p) for p in FILES} | {module_of(p.parent / "__init__.py") for p in FILES}


def package_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def for_type_checkers(tree: ast.AST) -> set[ast.AST]:
    """Everything under `if TYPE_CHECKING:`."""
    blocks = [n for n in ast.walk(tree) if isinstance(n, ast.If) and getattr(n.test, "id", "") == "TYPE_CHECKING"]
    return {inner for block in blocks for statement in block.body for inner in ast.walk(statement)}


def imported(path: Path, *, when_run: bool = False) -> Iterator[tuple[int, str]]:
    """Line and full module name of each import, wherever it stands; with `when_run` without those for type checkers."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    left_out = for_type_checkers(tree) if when_run else set()
    for node in ast.walk(tree):
        if node in left_out:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            assert node.module is not None
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield node.lineno, inner if inner in MODULES else node.module
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in ("import_module", "__import__"):
                yield node.lineno, str(node.args[0].value)


def ours(path: Path) -> Iterator[tuple[int, str]]:
    return ((line, name) for line, name in imported(path) if name.split(".")[0] == "limpid")


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_imports_flow_one_way(path: Path) -> None:
    here = package_of(module_of(path))
    assert here in RANK, f"the package {here} has no rank; give it one in the design's order"
    wrong = [
        f"line {line}: {name}"
        for line, name in ours(path)
        if package_of(name) != here and RANK[package_of(name)] >= RANK[here]
    ]
    assert not wrong, f"{here} may import only what stands below it: {wrong}"


def members(package: str) -> set[str]:
    """Modules of a catalogue's members, read from its list."""
    entries = import_module(f"limpid.{package}").CATALOGUE
    return {entry.target.partition(":")[0] for entry in entries}


@pytest.mark.parametrize("package", sorted(BRACES))
def test_members_of_a_catalogue_do_not_know_each_other(package: str) -> None:
    inside = [p for p in FILES if package_of(module_of(p)) == package and p.name != "__init__.py"]
    known = members(package)
    users: dict[str, set[str]] = {}
    for path in inside:
        module = module_of(path)
        for line, name in ours(path):
            if package_of(name) != package or name.count(".") < 2:
                continue
            # A long member may have parts in files of their own, but a part belongs to one member.
            assert name not in known, f"{module} line {line} imports the member {name}; what two share moves down"
            users.setdefault(name, set()).update({module} & known)
    shared = {part: sorted(owners) for part, owners in users.items() if len(owners) > 1}
    assert not shared, f"what two members share moves down: {shared}"


@pytest.mark.parametrize("path", [p for p in FILES if package_of(module_of(p)) not in BRACES], ids=module_of)
def test_members_are_reached_through_their_catalogue(path: Path) -> None:
    by_path = [
        f"line {line}: {name}" for line, name in ours(path) if package_of(name) in BRACES and name.count(".") > 1
    ]
    assert not by_path, f"load it from the catalogue instead: {by_path}"


@pytest.mark.parametrize("path", [p for p in FILES if package_of(module_of(p)) in FACES], ids=module_of)
def test_faces_see_only_the_api(path: Path) -> None:
    here = package_of(module_of(path))
    beyond = [
        f"line {line}: {name}" for line, name in ours(path) if package_of(name) != here and name not in SEEN_BY_FACES
    ]
    assert not beyond, f"a face goes through limpid.api: {beyond}"


@pytest.mark.parametrize("path", [p for p in FILES if package_of(module_of(p)) in WITHOUT_TORCH], ids=module_of)
def test_no_torch_where_none_is_needed(path: Path) -> None:
    assert "torch" not in {name.split(".")[0] for _, name in imported(path, when_run=True)}


def test_the_ranks_would_notice_a_wrong_import() -> None:
    assert RANK["core"] < RANK["training"] < RANK["cli"]
    assert RANK["nets"] == RANK["tasks"] == RANK["modalities"]
