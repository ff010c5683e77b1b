"""The pages say what the code does: verbs, options, tasks, nets, settings, links, the README's tree."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

import limpid
from limpid import cli

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), ROOT / "benchmarks/README.md"])


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_has_a_page_with_its_options(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    page = read(DOCS / f"{verb}.md")
    assert page.startswith(f"# limpid {verb}\n")
    assert cli.main([verb, "--help"]) == 0
    options = set(re.findall(r"(?<![\w-])--[a-z]+", capsys.readouterr().out)) - {"--help"}
    assert {option for option in options if option not in page} == set()
    assert f"limpid.{verb}(" in page or verb == "train"


def test_no_page_names_an_option_that_does_not_exist(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["--help"])
    for verb in cli.VERBS:
        cli.main([verb, "--help"])
    known = set(re.findall(r"(?<![\w-])--[a-z]+", capsys.readouterr().out))
    for page in [ROOT / "README.md", *(DOCS / f"{verb}.md" for verb in cli.VERBS), DOCS / "data.md", DOCS / "nets.md"]:
        for line in read(page).splitlines():
            if "limpid " in line or line.startswith("|"):
                assert set(re.findall(r"(?<![\w-])--[a-z]+", line)) <= known, f"{page.name}: {line}"


def test_the_readme_lists_the_verbs_that_work() -> None:
    listed = re.findall(r"^\| \[`(\w+)`\]", read(ROOT / "README.md"), re.M)
    assert listed == list(cli.VERBS)


def test_every_task_and_net_and_kind_has_its_place() -> None:
    from limpid.modalities import CATALOGUE as KINDS
    from limpid.nets import CATALOGUE as NETS
    from limpid.tasks import CATALOGUE as TASKS

    assert [name for name in TASKS.names if not (DOCS / f"{name}.md").is_file()] == []
    assert [name for name in NETS.names if f"| `{name}` |" not in read(DOCS / "nets.md")] == []
    assert [name for name in KINDS.names if f"| `{name}` |" not in read(DOCS / "data.md")] == []


def test_the_samples_are_listed() -> None:
    from limpid.data.samples import SAMPLES

    assert [name for name in SAMPLES if name not in read(DOCS / "data.md")] == []


def test_the_settings_page_is_current() -> None:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert read(DOCS / "settings.md") == module.render(), "run `make docs`"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", read(page), flags=re.S))
    dead = [t for t in targets if "://" not in t and not (page.parent / t.partition("#")[0]).exists()]
    assert dead == []


def test_decisions_are_numbered_and_short() -> None:
    pages = sorted(p for p in (DOCS / "decisions").glob("*.md") if p.name != "README.md")
    assert [int(p.name[:4]) for p in pages] == list(range(1, len(pages) + 1))
    assert {p.name: n for p in pages if (n := len(read(p).split())) > 400} == {}


def test_the_tree_in_the_readme_is_the_tree() -> None:
    block = re.search(r"<!-- tree -->\n```\n(.*?)```", read(ROOT / "README.md"), re.S)
    assert block is not None
    top = inner = Path()
    listed: set[Path] = set()
    for line in block.group(1).splitlines():
        names = re.match(r"( *)(\S+/|\S+\.py(?: \S+\.py)*)", line)
        assert names is not None, line
        depth, words = len(names.group(1)), names.group(2).split()
        if depth == 0:
            top = ROOT / words[0]
        elif depth == 2:
            inner = top / words[0]
        listed |= {(top, top, inner)[depth // 2] / w if depth == 4 else (top if depth == 0 else inner) for w in words}
    assert [str(p) for p in sorted(listed) if not p.exists()] == []
    source = Path(limpid.__file__).parent
    ours = {p for p in source.glob("*/*.py") if p.name != "__init__.py"} | {
        p.parent for p in source.glob("*/__init__.py")
    }
    assert [str(p.relative_to(source)) for p in sorted(ours - listed)] == [], "say in five words what these are"
