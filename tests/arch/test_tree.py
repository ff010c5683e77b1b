"""The tree is tidy: small files, nouns as packages, nothing unfinished, nothing of one machine, few dependencies."""

from __future__ import annotations

import ast
import os
import re
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest

import limpid

ROOT = Path(__file__).resolve().parents[2]
SOURCE = Path(limpid.__file__).parent
MOST_LINES = 500
MOST_PACKAGES = 32
BOXES = {"utils", "util", "common", "helpers", "helper", "misc"}
LEFT_OUT = {".git", ".venv", "envs", "work", "records", "runs", "__pycache__", "node_modules", "build", "dist"}
TEXT = {".py", ".md", ".toml", ".html", ".css", ".js", ".jinja", ".j2", ".yaml", ".yml", ".json", ".lock", ""}


def files(*suffixes: str) -> list[Path]:
    found = []
    for folder, inner, names in os.walk(ROOT):
        inner[:] = [n for n in inner if n not in LEFT_OUT and not n.endswith("_cache") and n != ".hypothesis"]
        found += [Path(folder) / name for name in names if Path(name).suffix in suffixes]
    return sorted(found)


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_no_file_is_longer_than_a_sitting() -> None:
    long = {shown(p): n for p in files(".py") if (n := len(p.read_text(encoding="utf-8").splitlines())) > MOST_LINES}
    assert not long


def test_packages_are_nouns_of_the_field() -> None:
    assert not [shown(p) for p in SOURCE.rglob("*") if p.stem in BOXES]


def test_every_module_says_what_it_answers() -> None:
    silent = [shown(p) for p in SOURCE.rglob("*.py") if not ast.get_docstring(ast.parse(p.read_text(encoding="utf-8")))]
    assert not silent


def test_nothing_is_unfinished() -> None:
    marks = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK")) + r")\b")
    found = [
        f"{shown(p)}:{n}"
        for p in files(".py")
        for n, line in enumerate(p.read_text(encoding="utf-8").splitlines(), 1)
        if marks.search(line)
    ]
    assert not found


def test_nothing_speaks_of_one_machine_or_of_how_it_was_made() -> None:
    words = re.compile("|".join((r"(?<![\w.])/(wo" + "rk|ro" + "ot|ho" + "me)/", r"\bC" + r"EO\b", "work" + "place")))
    found = [
        f"{shown(p)}:{n}"
        for p in files(*TEXT)
        for n, line in enumerate(p.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if words.search(line)
    ]
    assert not found


def test_the_lock_names_exact_versions_and_nothing_else() -> None:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    odd = [
        line for line in lines if not line.startswith("#") and not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9a-z.]+", line)
    ]
    assert not odd
    locked = {re.split("==", line)[0].lower().replace("_", "-") for line in lines}
    needed = {_name(r) for r in requires("limpid") or () if "extra ==" not in r}
    assert needed <= locked


def _name(requirement: str) -> str:
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert match is not None
    return match.group().lower().replace("_", "-")


def _closure(package: str) -> set[str]:
    """All packages that installing `package` brings, extras aside."""
    found: set[str] = set()
    ahead = [package]
    while ahead:
        name = ahead.pop()
        if name in found:
            continue
        try:
            needs = requires(name) or []
        except PackageNotFoundError:
            continue  # asked for on another platform or by another Python
        found.add(name)
        ahead += [_name(r) for r in needs if "extra ==" not in r]
    return found


def test_few_packages_beyond_those_of_torch() -> None:
    beyond = _closure("limpid") - _closure("torch") - {"limpid"}
    assert len(beyond) <= MOST_PACKAGES, sorted(beyond)


@pytest.mark.parametrize("name", ["LICENSE", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "src/limpid/py.typed"])
def test_the_project_has_its_papers(name: str) -> None:
    assert (ROOT / name).is_file()
