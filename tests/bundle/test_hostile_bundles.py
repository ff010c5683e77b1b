"""A bundle of unknown origin is refused in words, or it is a model; nothing in it runs, reads elsewhere or fills memory.

Cases stand in hostile_bundles.py and are loaded by hostile_child.py in a process under an audit hook. Thousands of
changed leaves are sampled; LIMPID_HOSTILE=all in the environment loads every one of them, LIMPID_HOSTILE_SEED=n draws
others.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hostile_bundles as hostile
import polars as pl
import pytest
import torch
from bundle_models import make, rows

import limpid
from limpid.bundle.format import MANIFEST, MEMBERS, load_member, pack
from limpid.bundle.model import Model
from limpid.cli import main
from limpid.core.errors import BundleError, RequestError, RunError
from limpid.data.dates import read_dates

pytestmark = pytest.mark.slow

SEED = int(os.environ.get("LIMPID_HOSTILE_SEED", "0"))
ROOM, PER_BYTE, SECONDS = 64 << 20, 1.2, 5.0
LONGEST = 2_000  # characters of a message, the folder's path included
HERE = Path(__file__).parent

linux = pytest.mark.skipif(sys.platform != "linux", reason="peaks of memory are read from /proc")
Results = list[dict[str, Any]]


@pytest.fixture(scope="session")
def members(model: Model, tmp_path_factory: pytest.TempPathFactory) -> hostile.Members:
    folder = tmp_path_factory.mktemp("good") / "model"
    model.save(folder, version="0.1.0")
    return {name: (folder / name).read_bytes() for name in (*MEMBERS, MANIFEST)}


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="session")
def results(work: Path) -> Results:
    command = [sys.executable, str(HERE / "hostile_child.py"), str(work), str(SEED)]
    if os.environ.get("LIMPID_HOSTILE") == "all":
        command.append("--all")
    path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path}, timeout=900)
    assert done.returncode == 0, f"the loader took its process with it ({done.returncode}):\n{done.stderr[-2000:]}"
    return [json.loads(line) for line in done.stdout.splitlines()][1:]


def wrong(results: Results, is_wrong: Callable[[dict[str, Any]], bool]) -> list[str]:
    """What went wrong where, ten of them: enough to see."""
    return [f"{r['name']}: {r['outcome']} {r['answer']} {r['detail'][:200]}" for r in results if is_wrong(r)][:10]


# -- one bit -----------------------------------------------------------------------------------------------------


def test_each_flipped_bit_is_noticed(members: hostile.Members, tmp_path: Path):
    hostile.put(tmp_path / "m", members)
    generator = random.Random(f"bits {SEED}")
    for n in range(300):
        # Half of the flips fall anywhere, half into each file alike: the weights are most of the bytes.
        names = list(members)
        weights = [len(c) for c in members.values()] if n % 2 else None
        name = generator.choices(names, weights)[0] if weights else names[n // 2 % len(names)]
        flipped = bytearray(members[name])
        place = generator.randrange(8 * len(flipped))
        flipped[place // 8] ^= 1 << place % 8
        (tmp_path / "m" / name).write_bytes(flipped)
        with pytest.raises(BundleError):
            Model.load(tmp_path / "m")
        (tmp_path / "m" / name).write_bytes(members[name])
    assert Model.load(tmp_path / "m").rows == 60


# -- hostile bundles with a manifest that is right for them --------------------------------------------------------


@linux
def test_there_are_as_many_cases_as_promised(results: Results):
    families = Counter(r["family"] for r in results)
    assert families["corrupted"] >= 300 and families["weaponised"] >= 60
    assert len({r["name"] for r in results}) == len(results)


@linux
def test_nothing_in_a_bundle_runs_or_reaches_out(results: Results, work: Path):
    assert wrong(results, lambda r: bool(r["violations"])) == []
    assert sorted(p.name for p in (work / "outside").iterdir()) == ["copies"]


@linux
def test_each_is_refused_in_words(results: Results):
    assert wrong(results, lambda r: not r["may_load"] and r["outcome"] != "BundleError") == []
    assert wrong(results, lambda r: r["outcome"] not in ("BundleError", "loaded")) == []


@linux
def test_messages_are_short_and_printable(results: Results):
    refused = [r for r in results if r["outcome"] != "loaded"]
    assert wrong(refused, lambda r: r["length"] > LONGEST or not r["plain"]) == []
    assert wrong(refused, lambda r: any(part not in r["detail"] for part in ("where:", "expected:", "fix:"))) == []


@linux
def test_what_loads_answers_and_can_be_saved_again(results: Results):
    loaded = [r for r in results if r["outcome"] == "loaded"]
    assert wrong(loaded, lambda r: r["answer"] not in ("3 rows", "DataError")) == []
    assert sum(r["answer"] == "3 rows" for r in loaded) >= 3, "some changed leaves are coherent models"


@linux
def test_time_and_memory_are_bounded(results: Results):
    assert wrong(results, lambda r: r["seconds"] > SECONDS) == []
    assert wrong(results, lambda r: r["growth"] > ROOM + PER_BYTE * r["size"]) == []


def test_an_escaped_backslash_before_a_u_is_no_surrogate():
    assert load_member(b'["\\\\ud800"]', "here") == ["\\ud800"]
    with pytest.raises(BundleError, match="half a character"):
        load_member(b'["\\\\\\ud800"]', "here")


def test_a_date_format_of_blanks_does_not_try_all_ways_to_share_them_out():
    micros, good = read_dates(pl.Series(["1" + " " * 46 + "y"]), "%d" + " " * 24 + "x")
    assert micros.tolist() == [0] and not good.any()


# -- the user's own module ----------------------------------------------------------------------------------------


@pytest.fixture
def external(tmp_path: Path) -> Path:
    """A bundle of a model with a module of the user's own."""
    model = make(columns=("age", "job"))
    model.save(tmp_path / "table", version="0.1.0")
    made = {name: (tmp_path / "table" / name).read_bytes() for name in MEMBERS}
    spec = json.loads(made["spec.json"]) | {"net": {"name": "external"}}
    hostile.put(tmp_path / "own", pack(made | {"spec.json": json.dumps(spec).encode()}, "0.1.0"))
    return tmp_path / "own"


def test_the_users_own_module_is_asked_for(external: Path):
    with pytest.raises(RequestError, match="module of the user's own"):
        Model.load(external)


def test_a_module_that_does_not_fit_is_the_users_mistake(external: Path):
    with pytest.raises(RequestError, match="does not accept its input"):
        Model.load(external, net=torch.nn.Linear(1_000, 2))


def test_weights_of_another_module_are_the_bundles(external: Path):
    with pytest.raises(BundleError, match="those of another network"):
        Model.load(external, net=lambda width: torch.nn.Linear(width, 4))


# -- other ways in ------------------------------------------------------------------------------------------------

HOSTILE: dict[str, Callable[[hostile.Members], hostile.Members]] = {
    "a changed weight": lambda m: m | {"weights.safetensors": m["weights.safetensors"][:-1] + b"\x7f"},
    "no weights": lambda m: {n: c for n, c in m.items() if n != "weights.safetensors"},
    "a manifest that is none": lambda m: m | {MANIFEST: b"\x80\x04cos\nsystem\n"},
    "deep nesting": lambda m: pack({n: m[n] for n in MEMBERS} | {"spec.json": b"[" * 100_000}, "0.1.0"),
    "a module's name": lambda m: pack(
        {n: m[n] for n in MEMBERS} | {"spec.json": m["spec.json"].replace(b'"tabm"', b'"os:system"')}, "0.1.0"
    ),
    "a pickle": lambda m: pack({n: m[n] for n in MEMBERS} | {"weights.safetensors": b"\x80\x04."}, "0.1.0"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_every_way_in_ends_in_four_parts(name: str, members: hostile.Members, tmp_path: Path, capsys, monkeypatch):
    hostile.put(tmp_path / "bad", HOSTILE[name](members))
    rows().write_csv(tmp_path / "rows.csv")
    run = tmp_path / "run"
    run.mkdir()
    (tmp_path / "bad").rename(run / "model")
    for path in (run, run / "model"):
        with pytest.raises(BundleError):
            limpid.load(path)
        for words in (
            ["predict", str(path), str(tmp_path / "rows.csv"), "--out", str(tmp_path / "answers.csv")],
            ["evaluate", str(path), str(tmp_path / "rows.csv")],
        ):
            assert main(words) == 2
            said = capsys.readouterr()
            assert said.out == ""
            assert said.err.startswith("error: ") and "Traceback" not in said.err
            assert all(f"\n  {part}:" in said.err for part in ("where", "expected", "fix"))
    assert not (tmp_path / "answers.csv").exists()


def test_a_path_without_a_model_is_said_to_be_none(tmp_path: Path):
    for path in (tmp_path, tmp_path / "absent", tmp_path / "a\x00b"):
        with pytest.raises(RunError):
            limpid.load(path)
