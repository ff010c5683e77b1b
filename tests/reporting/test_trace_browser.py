"""The pages of trace and explain in a real browser, driven by keys and clicks: steps forward and back, points of the map."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from limpid.reporting.explained_html import explain_html
from limpid.reporting.traced_html import trace_html

pytestmark = pytest.mark.browser

CHROMIUM = next((p for n in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(n))), None)
FLAGS = "--headless=new --no-sandbox --disable-gpu --no-first-run --disable-dev-shm-usage --remote-debugging-pipe"


def layer(n: int, gradient: bool = True) -> dict[str, Any]:
    bars = {"kind": "bars", "values": [0.5, -1.0, 2.0], "of": [3]}
    maps = {"kind": "maps", "values": [[[0.0, 1.0], [1.0, 0.0]]] * 3, "of": [3, 2, 2]}
    return {
        "name": f"input.layer_{n}",
        "kind": "Linear",
        "does": "each output is a weighted sum",
        "shape": [3],
        "mean": 0.5,
        "spread": 1.2,
        "low": -1.0,
        "high": 2.0,
        "silent": 0.25,
        "parameters": 12,
        "picture": bars if n % 2 else maps,
        "curve": {"x": [-1.0, 0.0, 1.0], "y": [0.0, 0.0, 1.0], "points": [[0.5, 0.5]]},
        "inside": [],
        "gradient": {"norm": 1.0, "mean": 0.1, "spread": 1.0, "low": -1, "high": 1, "picture": bars}
        if gradient
        else None,
        "weights": {"norm": 2.0, "gradient": 1.0, "update": 0.01, "ratio": 0.005},
    }


def record(layers: int = 5) -> dict[str, Any]:
    return {
        "row": 3,
        "data": "people.csv",
        "task": "classification",
        "target": ["y"],
        "net": "mlp",
        "columns": [{"column": "a" * 90, "kind": "number", "raw": "3", "encoded": [{"name": "a", "value": 0.5}]}],
        "parts": [{"part": "fields.numbers", "type": "float32", "shape": [1], "low": 0.5, "high": 0.5}],
        "layers": [layer(n) for n in range(layers)],
        "output": {"raw": [0.1, 0.9], "members": None, "prediction": {"prediction": "yes"}, "truth": "yes"},
        "loss": {"value": 0.37, "formula": "loss = -ln p", "steps": ["p = 0.69"], "members": None},
        "update": {
            "optimiser": "adamw",
            "lr": 0.001,
            "loss_before": 0.37,
            "loss_after": 0.36,
            "expected_change": -0.01,
        },
        "checks": [{"what": "the loss", "difference": 1e-8, "within": 1e-5, "ok": True}],
        "notes": [],
    }


class Browser:
    """Chromium over its debugging pipe: messages end with a NUL, nothing but the standard library is needed."""

    def __init__(self, profile: Path) -> None:
        assert CHROMIUM is not None
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        # Chromium wants its pipe at 3 and 4, which a process in between can give it without touching ours.
        moves = (
            "import os, sys; a, b = os.dup(int(sys.argv[1])), os.dup(int(sys.argv[2])); os.dup2(a, 23); os.dup2(b, 24);"
            "os.dup2(23, 3); os.dup2(24, 4); os.execv(sys.argv[3], sys.argv[3:])"
        )
        words = [CHROMIUM, *FLAGS.split(), f"--user-data-dir={profile}", "about:blank"]
        self._process = subprocess.Popen(
            [sys.executable, "-c", moves, str(theirs_in), str(theirs_out), *words],
            pass_fds=(theirs_in, theirs_out),
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._rest, self._number, self._session = b"", 0, ""
        targets = self.ask("Target.getTargets")["targetInfos"]
        page = next(t["targetId"] for t in targets if t["type"] == "page")
        self._session = self.ask("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self._rest:
                piece = os.read(self._in, 1 << 16)
                assert piece, "the browser has gone"
                self._rest += piece
            line, _, self._rest = self._rest.partition(b"\0")
            answer = json.loads(line)
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]

    def value(self, expression: str) -> Any:
        return self.ask("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def open(self, page: Path, width: int) -> None:
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        self.ask("Page.navigate", url=page.as_uri())
        for _ in range(400):
            if self.value("document.readyState === 'complete' && location.protocol === 'file:'"):
                return
        raise AssertionError("the page did not load")

    def press(self, key: str) -> None:
        code = {"ArrowRight": 39, "ArrowLeft": 37, "ArrowDown": 40, "Tab": 9, "Enter": 13}[key]
        said = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown" if said else "rawKeyDown", "keyUp"):
            more = said if kind == "keyDown" else {}
            self.ask("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **more)

    def click(self, x: float, y: float) -> None:
        for kind in ("mousePressed", "mouseReleased"):
            self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._in)
        os.close(self._out)


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("needs chromium")
    if sys.platform == "win32":
        pytest.skip("needs pipes that are inherited by number")
    found = Browser(tmp_path / "profile")
    yield found
    found.close()


SHOWN = (
    "[...document.querySelectorAll('.panel')].filter(p => getComputedStyle(p).display !== 'none')"
    ".map(p => p.getAttribute('aria-label'))"
)


@pytest.mark.parametrize("width", [390, 1280])
def test_one_can_step_forward_and_back(browser: Browser, tmp_path: Path, width: int) -> None:
    page = tmp_path / "trace.html"
    page.write_text(trace_html(record()), encoding="utf-8")
    browser.open(page, width)
    assert browser.value(SHOWN) == ["the row as it is read"]
    browser.value("document.getElementById('step-1').focus()")
    seen = []
    for _ in range(13):
        browser.press("ArrowRight")
        seen += browser.value(SHOWN)
    assert seen == [*["Linear"] * 5, "the answer", "the loss", *["Linear"] * 5, "one step of the optimiser"]
    browser.press("ArrowLeft")
    assert browser.value("document.querySelector('.at:checked').id") == "step-13"
    browser.value("document.querySelector('label.stop[for=step-8]').click()")
    assert browser.value(SHOWN) == ["the loss"]
    browser.value("document.querySelector('.at:checked + .stop + .panel .turn label:last-child').click()")
    assert browser.value("document.querySelector('.at:checked').id") == "step-9"
    assert browser.value("document.documentElement.scrollWidth") <= width
    assert browser.value("document.scripts.length") == 0


def test_tabbing_reaches_the_steps(browser: Browser, tmp_path: Path) -> None:
    page = tmp_path / "trace.html"
    page.write_text(trace_html(record(2)), encoding="utf-8")
    browser.open(page, 1280)
    browser.press("Tab")
    browser.press("Tab")
    assert browser.value("document.activeElement.id") == "step-1"
    browser.press("ArrowDown")
    assert browser.value("document.activeElement.id") == "step-2"


def whole(points: int) -> dict[str, Any]:
    """The record of a model on the whole, with a map."""
    return {
        "data": "people.csv",
        "rows": points,
        "metric": "log_loss",
        "score": 0.3,
        "of": "the probability of y = yes",
        "importance": [{"column": "a", "loss": 0.2, "low": 0.1, "high": 0.3}],
        "curves": [],
        "pairs": [],
        "map": {
            "points": [
                {"x": n / points, "y": (n * 7 % points) / points, "group": n % 2, "wrong": n % 5 == 0, "row": 10 * n,
                 "truth": "yes", "answer": "no", "cells": {"age": str(n)}}
                for n in range(points)
            ],
            "groups": ["no", "yes"],
            "share": 0.7,
            "wrong": "the answer is wrong",
        },
        "surface": {
            "columns": ["age" * 20, "b"], "numbers": [True, True], "x": [0.0, 1.0, 2.0], "y": [0.0, 1.0],
            "kind": "probability", "of": "the probability of y = yes", "values": [[0.1, 0.4, 0.9], [0.2, 0.6, 0.8]],
            "chosen": None, "names": [], "levels": [0.5], "outside": 3,
            "contours": [{"level": 0.5, "x": 1.2, "y": 0.0, "x2": 0.75, "y2": 1.0}],
            "counts": [{"x": 0.5, "y": 0.5, "n": 7}], "held": [{"column": "c" * 60, "value": "v" * 100}],
        },
        "prototypes": {
            "rows": points, "near": 10, "wrong": "the answer is wrong",
            "groups": [{"group": "g" * 50, "rows": 9, "prototypes": [{"row": 1, "truth": "yes", "answer": "no",
                        "wrong": True, "stands_for": 9, "cells": {"age" * 12: "4" * 200}, "line": [1.0, 2.0, 0.0]}]}],
            "outliers": [{"row": 2, "truth": "t" * 70, "answer": "no", "distance": 3.0, "group": "g" * 50}],
        },
    }  # fmt: skip


OPEN = "[...document.querySelectorAll('.point')].filter(p => getComputedStyle(p).display !== 'none').map(p => p.id)"


@pytest.mark.parametrize("width", [390, 1280])
def test_a_point_of_the_map_opens_its_row(browser: Browser, tmp_path: Path, width: int) -> None:
    page = tmp_path / "explain.html"
    page.write_text(explain_html(whole(40)), encoding="utf-8")
    browser.open(page, width)
    assert browser.value(OPEN) == []
    place = browser.value(
        "(() => { const p = document.querySelector('a[href=\"#point-7\"] path'); p.scrollIntoView({block: 'center', behavior: 'instant'});"
        " const b = p.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()"
    )
    browser.click(*place)
    assert browser.value(OPEN) == ["point-7"]
    assert "Row 70" in browser.value("document.getElementById('point-7').textContent")
    browser.value("document.querySelector('a[href=\"#point-8\"]').focus()")
    browser.press("Enter")
    assert browser.value(OPEN) == ["point-8"]
    assert browser.value("document.querySelectorAll('.known').length") == 2
    assert browser.value("document.querySelector('#surface svg').getBoundingClientRect().width") > 200
    assert browser.value("document.documentElement.scrollWidth") <= width
    assert browser.value("document.scripts.length") == 0
