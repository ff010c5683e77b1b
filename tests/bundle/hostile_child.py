"""Loads hostile bundles in a process of its own, under an audit hook, and says of each what happened.

Started as `python hostile_child.py WORK SEED`; prints a line of JSON for each case. What a good load does to the system
is what any load may do: each audit event of another kind, and each file opened outside the bundle, is a violation.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import shutil
import signal
import sys
import time
import warnings
from pathlib import Path
from types import FrameType
from typing import Any

import hostile_bundles as hostile
from bundle_models import SPECS, make, rows

from limpid.api.figures import evaluate_table
from limpid.bundle.model import Model
from limpid.core.catalogue import Catalogue
from limpid.core.errors import LimpidError
from limpid.core.repairs import Repairs
from limpid.core.schema import ColumnSpec
from limpid.data.table import open_table
from limpid.modalities import CATALOGUE as MODALITIES
from limpid.nets import CATALOGUE as NETS
from limpid.tasks import CATALOGUE as TASKS

HANG_SECONDS = 60  # of wall time, on a machine that may be busy; what is asserted is CPU time
ROOM_BYTES = 6 << 30
LEAVES_PER_RUN = 420

SMALL = ColumnSpec(kind="text", options={"buckets": 64, "max_tokens": 16})
SMALL_NETS: dict[str, dict[str, object]] = {
    "tabm": {"members": 2, "width": 8, "bins": 4, "number_width": 4, "numbers": "both"},
    "mlp": {"widths": [8], "bins": 4, "number_width": 4, "norm": "batch"},
    "ft_transformer": {"width": 8, "blocks": 1, "heads": 2},
    "bag": {"token_width": 8, "width": 8},
}


def bases(folder: Path) -> dict[str, hostile.Members]:
    """Members of good bundles which between them use every modality, net and task."""
    scaled = ColumnSpec(kind="number", options={"scale": "quantile", "also_category": True})
    labels = ColumnSpec(kind="labels", options={"separator": " ", "min_count": 1})
    specs = {"note": SMALL}
    made = {
        "tabm": make(specs=SPECS | specs, settings=SMALL_NETS),
        "mlp": make("regression", "mlp", specs=SPECS | {"note": labels, "income": scaled}, settings=SMALL_NETS),
        "ft": make("regression", "ft_transformer", ("age", "job"), settings=SMALL_NETS),
        "several": make("regression", "mlp", ("age", "job"), settings=SMALL_NETS, copies=3),
        "bag": make("classification", "bag", ("note",), specs=SPECS | specs, settings=SMALL_NETS),
    }
    found = {}
    for name, model in made.items():
        model.save(folder / name, version="0.1.0")
        found[name] = {member: (folder / name / member).read_bytes() for member in hostile.MEMBERS}
    return found


class Watch:
    """The audit hook: off, learning what a good load does, or on."""

    def __init__(self) -> None:
        self.state = "off"
        self.known: set[str] = set()
        self.inside = ""
        self.found: list[str] = []

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.state == "off":
            return
        if event in ("open", "os.listdir", "os.scandir"):
            path = arguments[0]
            if isinstance(path, int):
                return  # a descriptor, of which the opening was seen
            path = os.fsdecode(path) if isinstance(path, (str, bytes, os.PathLike)) else repr(path)
            if os.path.dirname(path) == self.inside or path == self.inside:
                return
            event = f"{event} {path}"
        if self.state == "learning":
            self.known.add(event)
        elif event not in self.known:
            self.found.append(f"{event} {repr(arguments)[:200]}")
            raise PermissionError(f"a bundle may not do {event}")


class Peak:
    """The process's greatest resident memory since `reset`, read through handles that were opened before the watch."""

    def __init__(self) -> None:
        self._status = os.open("/proc/self/status", os.O_RDONLY)
        self._clear = os.open("/proc/self/clear_refs", os.O_WRONLY)

    def reset(self) -> int:
        gc.collect()
        os.pwrite(self._clear, b"5", 0)
        return self.read(b"VmRSS:")

    def read(self, field: bytes) -> int:
        line = next(part for part in os.pread(self._status, 8192, 0).splitlines() if part.startswith(field))
        return int(line.split()[1]) << 10


class Hang(BaseException):
    """Not an Exception, so that nothing under test can swallow it."""


def _hang(number: int, frame: FrameType | None) -> None:
    raise Hang


def attempt(case: hostile.Case, folder: Path, watch: Watch, peak: Peak) -> dict[str, Any]:
    """Write one case, load it under the watch, ask it for three answers where it loads."""
    case.write(folder)
    size = sum(p.lstat().st_size for p in folder.iterdir() if p.is_file()) if folder.is_dir() else 0
    watch.inside, watch.found = str(folder), []
    outcome, detail, model = "loaded", "", None
    signal.alarm(HANG_SECONDS)
    before = peak.reset()
    started = time.process_time()
    watch.state = "on"
    try:
        model = Model.load(folder)
    except LimpidError as error:
        outcome, detail = type(error).__name__, str(error)
    except BaseException as error:
        outcome, detail = f"crash: {type(error).__name__}", repr(error)[:300]
    finally:
        watch.state = "off"
    seconds, growth = time.process_time() - started, peak.read(b"VmHWM:") - before
    plain = all(c.isprintable() or c == "\n" for c in detail)
    result = {"seconds": round(seconds, 3), "growth": growth, "size": size, "violations": watch.found}
    result |= {"length": len(detail), "plain": plain, "detail": detail[:1_000], "answer": ""}
    if model is not None:
        try:
            answer = model.predict_frame(rows(3), Repairs())[1]
            result["answer"] = f"{answer.height} rows"
            model.save(folder.with_name("saved"), version="0.1.0")
            evaluate_table(model, open_table(rows(20)), Repairs())
        except LimpidError as error:
            result["answer"] = type(error).__name__
        except BaseException as error:
            result["answer"] = f"crash: {type(error).__name__}: {error!s:.200}"
    signal.alarm(0)
    return {"name": case.name, "family": case.family, "may_load": case.may_load, "outcome": outcome, **result}


def chosen(cases: list[hostile.Case], seed: int) -> list[hostile.Case]:
    """All cases but those of changed leaves and keys, and a sample of these that covers another part in each seed."""
    many = [c for c in cases if c.may_load]
    kept = set(hostile.random.Random(seed).sample(range(len(many)), min(LEAVES_PER_RUN, len(many))))
    return [c for c in cases if not c.may_load] + [c for n, c in enumerate(many) if n in kept]


def main(work: Path, seed: int) -> None:
    """Run all cases."""
    warnings.simplefilter("error")
    outside = work / "outside"
    outside.mkdir()
    made = bases(work)
    for catalogue in (MODALITIES, NETS, TASKS):
        assert isinstance(catalogue, Catalogue)
        for entry in catalogue:
            catalogue.load(entry.name, where="test")
    cases = [*hostile.corrupted(made, seed), *hostile.weaponised(made["tabm"], outside)]
    if "--all" not in sys.argv:
        cases = chosen(cases, seed)
    watch, peak = Watch(), Peak()
    sys.addaudithook(watch)
    signal.signal(signal.SIGALRM, _hang)
    used = peak.read(b"VmSize:")
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM_BYTES, resource.RLIM_INFINITY))
    for state in ("off", "learning"):  # the first load of all imports what is not imported yet
        for name in made:
            watch.state, watch.inside = state, str(work / name)
            model = Model.load(work / name)
            watch.state = "off"
            model.predict_frame(rows(3), Repairs())
    gc.freeze()
    print(json.dumps({"known": sorted(watch.known)}), flush=True)
    folder = work / "case"
    for case in cases:
        result = attempt(case, folder, watch, peak)
        print(json.dumps(result), flush=True)
        if folder.is_dir():
            shutil.rmtree(folder)
        else:
            folder.unlink(missing_ok=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
