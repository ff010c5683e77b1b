"""Nothing in the product can run what it reads: no pickle, no eval, no unsafe YAML, no shell, no torch.load."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import limpid

SOURCE = Path(limpid.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
MODULES = {"pickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "imp", "runpy", "code"}
BUILTINS = {"eval", "exec", "compile", "__import__"}
METHODS = {
    *(f"yaml.{kind}{all_}" for kind in ("load", "unsafe_load", "full_load") for all_ in ("", "_all")),
    *("os.system", "os.popen", "torch.load", "torch.save", "torch.jit.load", "torch.jit.save", "torch.hub.load"),
    *("pd.read_pickle", "pandas.read_pickle", "importlib.util.spec_from_file_location"),
}


def findings(code: str) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            found += [f"{node.lineno}: import {a.name}" for a in node.names if a.name.split(".")[0] in MODULES]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in MODULES:
            found.append(f"{node.lineno}: from {node.module} import ...")
        elif isinstance(node, ast.ImportFrom):
            found += [
                f"{node.lineno}: from {node.module} import {a.name}"
                for a in node.names
                if f"{node.module}.{a.name}" in METHODS
            ]
        elif isinstance(node, ast.Call):
            found += [f"{node.lineno}: {what}" for what in _calls(node)]
    return found


def dotted(node: ast.expr) -> str:
    """`a.b.c` as it is written, or nothing for other expressions."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (owner := dotted(node.value)):
        return f"{owner}.{node.attr}"
    return ""


def _calls(node: ast.Call) -> list[str]:
    found = []
    if isinstance(node.func, ast.Name) and node.func.id in BUILTINS:
        found.append(node.func.id)
    name = dotted(node.func)
    if name in METHODS:
        found.append(name)
    for keyword in node.keywords:
        allowed = isinstance(keyword.value, ast.Constant) and not keyword.value.value
        if keyword.arg in ("shell", "allow_pickle") and not allowed:
            found.append(f"{keyword.arg}=...")
        if keyword.arg == "weights_only":
            found.append("weights_only, which is an argument of torch.load")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_no_code_can_enter(path: Path) -> None:
    assert findings(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from joblib import load",
        "def f():\n    import cloudpickle",
        "eval('1')",
        "exec(text)",
        "yaml.load(text)",
        "from yaml import unsafe_load",
        "subprocess.run(c, shell=True)",
        "subprocess.run(c, shell=flag)",
        "os.system('ls')",
        "torch.load(path)",
        "torch.jit.load(path)",
        "np.load(path, allow_pickle=True)",
    ],
)
def test_the_search_finds(code: str) -> None:
    assert findings(code)


@pytest.mark.parametrize(
    "code",
    ["yaml.safe_load(text)", "re.compile('a')", "np.load(path, allow_pickle=False)", "safetensors.torch.load(b)"],
)
def test_the_search_leaves_alone(code: str) -> None:
    assert not findings(code)
