"""The public surface is this list; the verbs stay functions whatever is imported beside them."""

from __future__ import annotations

import subprocess
import sys
import types

import pytest

import limpid

PUBLIC = [
    "LimpidError",
    "Metric",
    "Model",
    "Run",
    "__version__",
    "audit",
    "compare",
    "doctor",
    "evaluate",
    "explain",
    "inspect",
    "load",
    "plan",
    "predict",
    "report",
    "trace",
    "train",
]
HEAVY = ("torch", "polars", "pydantic", "numpy", "sklearn", "scipy", "rich", "typer")


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_public_names_are_these() -> None:
    assert sorted(limpid.__all__) == sorted(PUBLIC)
    assert dir(limpid) == sorted(PUBLIC)


def test_every_public_name_is_there_and_documented() -> None:
    for name in PUBLIC:
        value = getattr(limpid, name)
        assert name == "__version__" or (value.__doc__ or "").strip(), f"limpid.{name} has no docstring"


def test_verbs_are_functions_after_everything_was_imported() -> None:
    code = (
        "import pkgutil, importlib, types, limpid, limpid.api\n"
        "for m in pkgutil.walk_packages(limpid.__path__, 'limpid.'):\n"
        "    if not m.name.endswith('__main__'):\n"
        "        importlib.import_module(m.name)\n"
        "verbs = 'inspect plan train evaluate predict explain audit trace report compare doctor load'.split()\n"
        "for place in (limpid, limpid.api):\n"
        "    wrong = [v for v in verbs if not isinstance(getattr(place, v), types.FunctionType)]\n"
        "    assert not wrong, (place.__name__, wrong)\n"
        "print('functions')"
    )
    assert python(code) == "functions"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="trian"):
        _ = limpid.trian


def test_importing_limpid_imports_nothing_heavy() -> None:
    found = python(f"import sys, limpid; print([m for m in {HEAVY!r} if m in sys.modules])")
    assert found == "[]"


def test_the_type_of_train() -> None:
    assert isinstance(limpid.train, types.FunctionType)
