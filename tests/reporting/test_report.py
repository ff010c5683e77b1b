"""report.html and the page of an inspection: complete, bounded, self-contained, escaped, honest about what is missing."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest

from limpid.core.errors import LimpidError
from limpid.core.run import RunFolder
from limpid.reporting.inspect_html import inspection_html
from limpid.reporting.report import report_html, write_report

pytestmark = pytest.mark.slow

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """Tags, attributes and text of a page; a tag that closes another one is an error."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, key, value or "") for key, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, key, value or "") for key, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def sections(self) -> list[str]:
        return [value for tag, key, value in self.attributes if tag == "section" and key == "id"]


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures as empty frames, for tests of what stands around them."""
    frame = '<svg role="img" aria-label="a figure that is not drawn here"></svg>'
    monkeypatch.setattr("limpid.reporting.pages.inline_all", lambda some: dict.fromkeys(some, frame))


ORDER = ["results", "data", "leaks", "cleaning", "split", "plan", "network", "training", "errors", "weak", "repeat"]


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_a_report_tells_everything_in_order(make_run: Callable[..., RunFolder], task: str) -> None:
    folder = make_run(task=task)
    path = write_report(folder)
    assert path == folder.report
    page = Page(path.read_text(encoding="utf-8"))
    assert page.sections() == ORDER
    text = page.text
    said = ["Predicting income", "behind the best baseline", "95 % interval", "evidence of number", "11.2 %"]
    said += ["grade is a near copy of income", "could not be read as a number, taken as missing", "22,793 train rows"]
    said += ["TabM's published default", "EnsembleLinear", "validation stopped improving", "went back to step 400"]
    said += ["temperature", "education = level 0", "The most wrong rows", "limpid train people.csv", "2.13.0+cpu"]
    said += ["the target is imbalanced", "Learning rate", "Gradient norm", "Size of the updates", "Throughput", "Loss"]
    if task == "classification":
        said += ["Confusion matrix", "ROC curve", "Precision and recall", "Reliability", "ROC AUC 0.9268"]
    else:
        said += ["Predicted against true values", "Residuals", "90.3 % of the test rows", "RMSE 45,210"]
    for words in said:
        assert words in text, words


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_every_figure_has_a_sentence_and_a_text_alternative(make_run: Callable[..., RunFolder], task: str) -> None:
    html = report_html(make_run(task=task))
    cards = re.findall(r"<figure.*?</figure>", html, re.S)
    assert len(cards) >= 11
    for card in cards:
        caption = re.search(r"<figcaption>(.+?)</figcaption>", card)
        assert caption is not None and caption[1].endswith(".")
        assert re.search(r'<svg [^>]*role="img" aria-label="[^"]{20,}"', card)
        assert "could not be drawn" not in card
    for drawing in re.findall(r"<svg [^>]*>", html):
        assert 'role="img"' in drawing and "aria-label=" in drawing


@pytest.mark.usefixtures("undrawn")
def test_a_page_asks_for_nothing_and_allows_nothing(make_run: Callable[..., RunFolder]) -> None:
    for html in (report_html(make_run()), inspection_html({"rows": 0})):
        page = Page(html)
        assert not {"script", "iframe", "object", "embed", "form", "base", "img", "audio", "video"} & set(page.tags)
        policy = next(v for t, k, v in page.attributes if t == "meta" and k == "content" and "default-src" in v)
        assert policy.startswith("default-src 'none'; style-src 'sha256-") and "unsafe" not in policy
        links = [
            (t, v) for t, k, v in page.attributes if k in ("href", "src", "xlink:href", "action", "srcset", "poster")
        ]
        assert all(v.startswith(("#", "data:image/svg+xml,")) for _, v in links)
        assert not [k for _, k, _ in page.attributes if k.startswith("on") or k == "style"]
        assert "url(http" not in html and "@import" not in html
        assert [v for t, k, v in page.attributes if t == "html" and k == "lang"] == ["en"]


PAYLOADS = [
    "</script><script>window.hit=1</script>",
    "<img src=x onerror=window.hit=1>",
    '"><svg onload=window.hit=1>',
    "' autofocus onfocus=window.hit=1 x='",
    "javascript:window.hit=1",
    "</style><style>body{display:none}</style>",
    "</title><script>window.hit=1</script>",
    "{{7*7}}{% raw %}<b>",
    "<!--",
    "]]>",
    "&lt;script&gt;",
    "a\x00b\u202egnp\ud800",
]


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_user_string_becomes_markup(
    make_run: Callable[..., RunFolder], make_profile: Callable[..., dict[str, Any]], payload: str
) -> None:
    honest = Page(report_html(make_run(task="regression")))

    def hostile(word: str) -> str:
        # plan.yaml and profile.json cannot hold a lone surrogate or a NUL; names that reach them have lost them.
        return f"{word} {payload}".encode("utf-8", "replace").decode().replace("\x00", "\ufffd")

    page = Page(report_html(make_run(hostile)))
    assert set(page.tags) <= set(honest.tags) | {"clippath", "lineargradient", "stop", "defs"}
    assert "49" not in re.findall(r"\b49\b(?=<)", page.text)
    inspected = Page(
        inspection_html(make_profile(lambda word: f"{word} {payload}".encode("utf-8", "replace").decode()))
    )
    assert set(inspected.tags) <= set(honest.tags)


def test_size_is_bounded_whatever_the_data(make_run: Callable[..., RunFolder], edit: Any) -> None:
    folder = make_run(lambda word: word + "x" * 300, classes=1_000, columns=60, epochs=1_200)

    def widen(profile: Any) -> None:
        profile["columns"] += [profile["columns"][0] | {"name": f"column {k} " + "y" * 500} for k in range(2_000)]
        profile["leaks"] *= 400
        profile["correlations"] *= 20

    edit(folder.profile, widen)
    edit(
        folder.metrics,
        lambda m: m["details"].update(worst=m["details"]["worst"] * 500, slices=m["details"]["slices"] * 90),
    )
    edit(
        folder.metrics,
        lambda m: m.update(repairs=[{"where": f"c{k}", "what": "w" * 999, "count": k} for k in range(5_000)]),
    )
    html = report_html(folder)
    assert len(html.encode()) < 1_600_000
    text = Page(html).text
    assert re.search(r"and 1,98\d more columns", text) and re.search(r"and 37\d more suspects", text)
    assert "and 969 more classes in the confusion matrix" in text and "and 4,950 more kinds of repair" in text


def test_a_usual_report_is_small(make_run: Callable[..., RunFolder]) -> None:
    assert len(report_html(make_run()).encode()) < 400_000


@pytest.mark.usefixtures("undrawn")
def test_missing_pieces_are_said(make_run: Callable[..., RunFolder]) -> None:
    text = Page(report_html(make_run(baselines=False, test=False))).text
    assert "No baselines were trained" in text and "There was no test part" in text and "valid rows" in text


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("plan.yaml", "This run has no plan.yaml."),
        ("profile.json", "This run has no profile of its data."),
        ("events.jsonl", "No epoch has ended yet"),
        ("metrics.json", "metrics.json is not there"),
        ("network.json", "no drawing of its network"),
    ],
)
def test_each_file_may_be_missing(make_run: Callable[..., RunFolder], name: str, said: str) -> None:
    folder = make_run()
    (folder.path / name).unlink()
    page = Page(report_html(folder))
    assert said in page.text and page.sections() == ORDER


@pytest.mark.usefixtures("undrawn")
def test_an_empty_folder_still_gives_a_page(tmp_path: Any) -> None:
    assert Page(report_html(RunFolder(tmp_path))).sections() == ORDER


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("value", [None, 3, "text", [], {}, [None], [[]], {"a": None}])
def test_a_field_of_the_wrong_kind_is_passed_over(make_run: Callable[..., RunFolder], edit: Any, value: Any) -> None:
    folder = make_run()

    def spoil(record: Any) -> None:
        for key in record:
            record[key] = value

    for path in (folder.metrics, folder.profile, folder.path / "network.json"):
        edit(path, spoil)
    assert Page(report_html(folder)).sections() == ORDER
    folder2 = RunFolder(folder.path)
    edit(
        folder2.metrics,
        lambda m: m.update(details={"worst": [value], "slices": value, "confusion": value, "roc": value}),
    )
    assert Page(report_html(folder2)).sections() == ORDER


def test_damaged_files_are_errors_that_name_them(make_run: Callable[..., RunFolder]) -> None:
    folder = make_run()
    folder.metrics.write_text("{", encoding="utf-8")
    with pytest.raises(LimpidError, match="not valid JSON") as caught:
        report_html(folder)
    assert caught.value.where.endswith("metrics.json")


@pytest.mark.usefixtures("undrawn")
def test_a_torn_line_of_events_is_passed_over(make_run: Callable[..., RunFolder]) -> None:
    folder = make_run()
    with folder.events.open("a", encoding="utf-8") as file:
        file.write('{"event": "EpochEn')
    assert "validation stopped improving" in Page(report_html(folder)).text


def test_a_resumed_run_shows_each_epoch_once(make_run: Callable[..., RunFolder]) -> None:
    folder = make_run(epochs=5)
    first = folder.events.read_text(encoding="utf-8")
    with folder.events.open("a", encoding="utf-8") as file:
        file.write(first)
    page = Page(report_html(folder))
    assert "resumed 1 time" in page.text
    html = report_html(folder)
    assert html.count("epoch 5: training") == 1


def test_the_page_is_the_same_every_time(make_run: Callable[..., RunFolder]) -> None:
    folder = make_run()
    assert report_html(folder) == report_html(folder)


def test_an_inspection_page_shows_the_checks_first(make_profile: Callable[..., dict[str, Any]]) -> None:
    page = Page(inspection_html({**make_profile(), "source": "people.csv", "total_rows": 999, "repairs": []}))
    assert page.sections() == ["leaks", "target", "columns", "together", "repairs"]
    for words in (
        "people.csv",
        "999 rows, 8 columns",
        "grade is a near copy of income",
        "Cramer's V",
        "evidence of date",
    ):
        assert words in page.text
    plain = Page(inspection_html(json.loads(json.dumps({"rows": 3, "columns": [{"name": "a", "kind": "text"}]}))))
    assert "No target was named" in plain.text
