"""A stand-in for `limpid.api` that records what the command line asks of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from limpid import api, cli


@dataclass
class FakeRun:
    path: Path = Path("runs/one")
    stopped: str = "early"
    shown: list[Any] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        return {"run": str(self.path), "stopped": self.stopped}

    def show(self, console: Any = None) -> None:
        self.shown.append(console)
        console.print("a summary table")


@dataclass
class FakeAnswer:
    content: dict[str, Any]
    repairs: tuple[Any, ...] = ()
    sound: bool = True
    metrics: dict[str, float | None] = field(default_factory=lambda: {"rmse": 1.5, "r2": None})
    rows: int = 3

    def as_dict(self) -> dict[str, Any]:
        return self.content

    def show(self, console: Any = None) -> None:
        print("shown")

    def text(self) -> str:
        return "seed: 0\n"

    def html(self, path: Path) -> str:
        Path(path).write_text("<html>", encoding="utf-8")
        return "<html>"

    def __len__(self) -> int:
        return self.rows


class Recorder:
    """What was asked, and what to answer."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.answers: dict[str, Any] = {name: FakeAnswer({"verb": name}) for name in cli.VERBS}
        self.answers["train"] = FakeRun()
        self.answers["report"] = Path("runs/one/report.html")
        self.raises: dict[str, BaseException] = {}
        self.before: dict[str, Callable[[dict[str, Any]], None]] = {}

    def verb(self, name: str) -> Callable[..., Any]:
        def call(*positional: Any, **named: Any) -> Any:
            self.calls.append((name, positional, named))
            if name in self.before:
                self.before[name](named)
            if name in self.raises:
                raise self.raises[name]
            return self.answers[name]

        return call

    @property
    def asked(self) -> dict[str, Any]:
        """The keyword arguments of the only call."""
        assert len(self.calls) == 1
        return self.calls[0][2]


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    found = Recorder()
    for name in cli.VERBS:
        monkeypatch.setitem(vars(api), name, found.verb(name))  # `setattr` would load the real one first
    return found


@pytest.fixture
def limpid(recorder: Recorder, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """limpid("train", "x.csv") -> (exit status, stdout, stderr)."""

    def run(*words: str) -> tuple[int, str, str]:
        status = cli.main(list(words))
        out, err = capsys.readouterr()
        return status, out, err

    return run


@pytest.fixture
def last_json() -> Callable[[str], Any]:
    """The object in the last line of stdout."""
    return lambda out: json.loads(out.rstrip("\n").splitlines()[-1])
