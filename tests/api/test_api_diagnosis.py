"""The doctor: what it looks at, and that it finds what is wrong."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from limpid.api import diagnosis
from limpid.api.diagnosis import Check, Diagnosis, doctor

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def found() -> Diagnosis:
    return doctor()


def test_this_installation_is_sound(found: Diagnosis) -> None:
    assert found.sound, [c for c in found.checks if c.state == "wrong"]


def test_it_looks_at_everything_that_the_page_names(found: Diagnosis) -> None:
    names = {check.name for check in found.checks}
    assert names >= {
        "limpid",
        "python",
        "torch",
        "polars",
        "torch build",
        "device",
        "threads",
        "bf16",
        "training",
        "cache",
    }
    assert any(name.startswith("extra ") for name in names)


def test_what_json_prints(found: Diagnosis) -> None:
    printed = found.as_dict()
    assert printed["sound"] is True
    assert all(set(check) == {"name", "found", "state", "fix"} for check in printed["checks"])


def test_whatever_is_not_in_order_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    real = diagnosis.version

    def absent(name: str) -> str:
        if name in ("pyarrow", "jinja2"):
            raise PackageNotFoundError(name)
        return "0.1" if name == "rich" else real(name)

    monkeypatch.setattr(diagnosis, "version", absent)
    checks = {c.name: c for c in doctor().checks}
    assert checks["jinja2"].state == "wrong"
    assert checks["rich"].state == "wrong"
    assert checks["rich"].fix.startswith("python -m pip install 'rich>=")
    assert checks["extra pandas"].state == "optional"
    assert checks["extra pandas"].fix == "python -m pip install 'limpid[pandas]'"


def test_a_cache_that_cannot_be_written_is_wrong(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("LIMPID_CACHE", str(tmp_path / "file" / "cache"))
    check = diagnosis._cache()
    assert check.state == "wrong"
    assert "LIMPID_CACHE" in check.fix


def test_it_is_shown_as_text() -> None:
    console = Console(record=True, width=120, file=StringIO())
    Diagnosis((Check("a", "found [b]", "ok"), Check("c", "broken", "wrong", "mend [it]"))).show(console)
    text = console.export_text()
    assert "found [b]" in text
    assert "mend [it]" in text
    assert "1 of 2 checks failed" in text
