"""The pages in a real browser: no error, no request, no script that runs, no sideways scrolling on a phone."""

from __future__ import annotations

import http.server
import json
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from limpid.core.run import RunFolder
from limpid.reporting.inspect_html import inspection_html
from limpid.reporting.report import report_html

pytestmark = pytest.mark.browser

CHROMIUM = next((p for n in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(n))), None)
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage --enable-logging=stderr --v=0"
).split()


class Site(http.server.ThreadingHTTPServer):
    """A local site that notes what is asked of it and what the probe reports."""

    def __init__(self) -> None:
        self.pages: dict[str, str] = {}
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        page = self.server.pages.get(self.path)
        self.send_response(200 if page is not None else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write((page or "").encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def site() -> Iterator[Site]:
    if CHROMIUM is None:
        pytest.skip("needs chromium")
    server = Site()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def visit(site: Site, pages: dict[str, str], width: int) -> tuple[dict[str, Any], str]:
    """Open pages side by side in frames of one width; what a probe saw in each, and the browser's log."""
    site.pages = {f"/{name}": html for name, html in pages.items()}
    frames = "".join(
        f'<iframe src="/{n}" name="{n}" style="width:{width}px;height:900px;border:0"></iframe>' for n in pages
    )
    site.pages["/"] = (
        f"<!DOCTYPE html><title>probe</title><link rel=icon href=data:,>{frames}<pre id=seen></pre><script>"
        "onload = () => { const seen = {}; for (const f of document.querySelectorAll('iframe')) {"
        " const d = f.contentDocument; const clear = [...d.querySelectorAll('figure svg')].every("
        "   s => s.getBoundingClientRect().width > 200);"
        " seen[f.name] = {scroll: d.documentElement.scrollWidth, width: f.contentWindow.innerWidth,"
        "  hit: f.contentWindow.hit === undefined ? null : f.contentWindow.hit, title: d.title, clear,"
        "  height: d.documentElement.scrollHeight, scripts: d.scripts.length, ink: getComputedStyle(d.body).color}; }"
        " document.getElementById('seen').textContent = JSON.stringify(seen); };</script>"
    )
    with tempfile.TemporaryDirectory() as profile:
        command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={profile}", "--virtual-time-budget=8000", "--dump-dom"]
        done = subprocess.run([*command, f"{site.address}/"], capture_output=True, text=True, timeout=120, check=False)
    found = re.search(r'<pre id="seen">(.*?)</pre>', done.stdout, re.S)
    assert found is not None, done.stderr[-2000:]
    seen = json.loads(found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    assert set(seen) == set(pages)
    return seen, done.stderr


def console(log: str) -> list[str]:
    return [line for line in log.splitlines() if "CONSOLE" in line]


@pytest.mark.parametrize("width", [390, 1280])
def test_pages_open_without_an_error_a_request_or_sideways_scrolling(
    site: Site, make_run: Callable[..., RunFolder], make_profile: Callable[..., dict[str, Any]], width: int
) -> None:
    long = "a_very_long_name_without_any_place_to_break_it_" * 3
    pages = {
        "classes": report_html(make_run()),
        "numbers": report_html(make_run(lambda word: word + long, task="regression")),
        "data": inspection_html(make_profile(lambda word: word + long, columns=20)),
    }
    seen, log = visit(site, pages, width)
    assert console(log) == []
    assert sorted(site.asked) == sorted(["/", *[f"/{name}" for name in pages]]), "a page asked for something else"
    for name, what in seen.items():
        assert what["scroll"] <= what["width"] == width, (name, what)
        assert what["clear"] and what["height"] > 900, (name, what)
        assert what["ink"] == "rgb(31, 41, 55)", "the style sheet was refused"


PAYLOADS = [
    "</script><script>window.hit=1</script>",
    "<img src=x onerror=window.hit=2>",
    '"><svg onload=window.hit=3>',
    "' autofocus onfocus=window.hit=4 tabindex=0 x='",
    '<a href="javascript:window.hit=5">x</a><iframe srcdoc="<script>parent.hit=5</script>">',
    "</style><script>window.hit=6</script>",
    "</title><img src=/stolen>",
    "{{ 7*7 }}<b onmouseover=window.hit=8>",
    "<!--><script>window.hit=9</script>-->",
    "<svg><animate onbegin=window.hit=10 attributeName=x dur=1s>",
]


def test_no_payload_runs_or_calls_home(
    site: Site, make_run: Callable[..., RunFolder], make_profile: Callable[..., dict[str, Any]]
) -> None:
    every = " ".join(PAYLOADS)
    pages = {
        f"payload{n}": inspection_html(make_profile(lambda word, p=p: f"{p}{word}")) for n, p in enumerate(PAYLOADS)
    }
    pages["report"] = report_html(make_run(lambda word: f"{every[:60]}{word}"))
    pages["numbers"] = report_html(make_run(lambda word: f"{PAYLOADS[1]}{word}", task="regression"))
    seen, log = visit(site, pages, 800)
    assert console(log) == []
    assert sorted(site.asked) == sorted(["/", *[f"/{name}" for name in pages]])
    for name, what in seen.items():
        assert what["hit"] is None and what["scripts"] == 0, (name, what)


def test_the_probe_would_notice(site: Site) -> None:
    bad = (
        "<!DOCTYPE html><title>t</title><body style='min-width:2000px'><img src=/gone><script>window.hit=1;x.y</script>"
    )
    seen, log = visit(site, {"bad": bad}, 390)
    assert seen["bad"]["hit"] == 1 and seen["bad"]["scroll"] > 390 and seen["bad"]["scripts"] == 1
    assert "/gone" in site.asked
    assert any("x is not defined" in line for line in console(log))
