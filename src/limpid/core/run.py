"""The run folder: what stands in it, who may write it, and how events get there."""

from __future__ import annotations

import json
import math
import os
import re
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from limpid.core.errors import RunError
from limpid.core.events import Event
from limpid.core.files import load_json, read_bounded, write_json

_LIMIT = 64 << 20


def new_name(word: str, *, at: float | None = None) -> str:
    """A folder name that sorts by time and does not clash: 2026-11-20-1315-income-k3f9.

    Args:
        word: what the run is about (the target's name); anything but letters, digits and dashes is left out.
        at: seconds since 1970, now by default.
    """
    stamp = time.strftime("%Y-%m-%d-%H%M", time.localtime(at))
    plain = re.sub(r"[^a-z0-9]+", "-", word.casefold()).strip("-")[:40] or "run"
    tail = "".join(secrets.choice("abcdefghjkmnpqrstuvwxyz23456789") for _ in range(4))
    return f"{stamp}-{plain}-{tail}"


class RunFolder:
    """Paths and small files of one run.

    Args:
        path: the folder itself.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._events: IO[str] | None = None
        self._lock: IO[bytes] | None = None

    @property
    def plan(self) -> Path:
        """plan.yaml: the whole plan with its reasons."""
        return self.path / "plan.yaml"

    @property
    def profile(self) -> Path:
        """profile.json: what the data looked like."""
        return self.path / "profile.json"

    @property
    def events(self) -> Path:
        """events.jsonl: everything that happened."""
        return self.path / "events.jsonl"

    @property
    def metrics(self) -> Path:
        """metrics.json: final figures with intervals and baselines; its presence says that the run is finished."""
        return self.path / "metrics.json"

    @property
    def rows(self) -> Path:
        """rows.parquet: the part ("train", "valid", "test") of each source row that was used."""
        return self.path / "rows.parquet"

    @property
    def seen(self) -> Path:
        """seen.json: a few training examples as augmentation shows them to the network; absent without it."""
        return self.path / "seen.json"

    @property
    def training(self) -> Path:
        """training.json: what was seen of layers and examples while the network learnt; absent where nothing was."""
        return self.path / "training.json"

    @property
    def explained(self) -> Path:
        """explained.json: some held-out answers and what each part of the row did; absent where there was no time."""
        return self.path / "explained.json"

    @property
    def left_out(self) -> Path:
        """left_out.csv: rows that could not be read, with the reason of each; absent where there were none."""
        return self.path / "left_out.csv"

    @property
    def predictions(self) -> Path:
        """predictions.parquet: on the held-out rows."""
        return self.path / "predictions.parquet"

    @property
    def audit(self) -> Path:
        """audit.json: what the last audit found; absent without one."""
        return self.path / "audit.json"

    @property
    def report(self) -> Path:
        """report.html."""
        return self.path / "report.html"

    @property
    def checkpoint(self) -> Path:
        """checkpoint/: resumable state."""
        return self.path / "checkpoint"

    @property
    def model(self) -> Path:
        """model/: the bundle."""
        return self.path / "model"

    @property
    def finished(self) -> bool:
        """Whether the run ended with its figures written."""
        return self.metrics.is_file()

    def open_new(self, *, resume: bool) -> bool:
        """Create the folder, or accept an existing one, and hold it until `close`.

        Args:
            resume: whether a folder with content may be used.

        Returns:
            Whether there was nothing in it.

        Raises:
            RunError: the folder holds something and `resume` is false, or another process is at work in it.
        """
        if "\0" in str(self.path):
            raise RunError(
                "the path holds a NUL", where="--out", expected="a path of a folder", fix="choose another --out"
            )
        if os.path.lexists(self.path) and not self.path.is_dir():
            raise RunError(
                f"{self.path.name} is a file",
                where=f"--out {self.path}",
                expected="a folder that is new or empty",
                fix="choose another --out",
            )
        try:
            content = os.listdir(self.path) if os.path.isdir(self.path) else []
            if content and not resume:
                raise RunError(
                    "the run folder is not empty",
                    where=f"--out {self.path}",
                    expected="a folder that is new or empty",
                    fix="choose another --out, or add --resume to go on with the run that is there",
                )
            self.path.mkdir(parents=True, exist_ok=True)
            self._hold()
        except OSError as error:
            raise RunError(
                f"the run folder cannot be written: {error.strerror or error}",
                where=f"--out {self.path}",
                expected="a folder that can be written",
                fix="choose another --out",
            ) from error
        return not content

    def _hold(self) -> None:
        self._lock = (self.path / ".lock").open("a+b")
        try:
            if sys.platform == "win32":
                import msvcrt

                msvcrt.locking(self._lock.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(self._lock.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            self._lock = None
            raise RunError(
                "another process is working in this run folder",
                where=str(self.path),
                expected="one process per run folder",
                fix="wait until it ends, or choose another --out",
            ) from error

    def close(self) -> None:
        """Let go of the folder."""
        self._drop_events()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def hear(self, event: Event) -> None:
        """Append an event to events.jsonl; a listener.

        A kill in the middle of a line leaves a torn one; it is closed with a line break before the next is written,
        and `read_events` passes over it.
        """
        try:
            if self._events is None:
                torn = self.events.exists() and self.events.stat().st_size > 0 and not _ends_line(self.events)
                self._events = self.events.open("a", encoding="utf-8", newline="\n")
                if torn:
                    self._events.write("\n")
            self._events.write(json.dumps(_finite(event.as_dict()), ensure_ascii=False, default=str) + "\n")
            self._events.flush()
        except OSError as error:
            self._drop_events()
            raise RunError(
                f"{self.events.name} could not be written: {error.strerror or error}",
                where=str(self.events),
                expected="a folder that can be written, with room on its disk",
                fix="free some room and go on with --resume, or choose another folder with --out",
            ) from error

    def _drop_events(self) -> None:
        events, self._events = self._events, None
        if events is not None:
            with suppress(OSError):  # what a full disk did not take is tried again here, in vain
                events.close()

    def read_events(self) -> Iterator[dict[str, Any]]:
        """The events so far, oldest first."""
        if not self.events.exists():
            return
        with self.events.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                try:
                    event = json.loads(line)
                except ValueError:
                    continue  # a line torn by a kill
                if isinstance(event, dict):
                    yield event

    def write(self, path: Path, content: Any) -> None:
        """Write one of the folder's JSON files atomically."""
        write_json(path, content)

    def read(self, path: Path) -> Any:
        """Read one of the folder's JSON files.

        Raises:
            RunError: the file is missing or damaged.
        """
        return load_json(read_bounded(path, _LIMIT, RunError, noun=path.name), RunError, where=str(path))


def _finite(value: Any) -> Any:
    """The same with null for numbers that JSON has no words for."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def _ends_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def find_bundle(path: Path) -> Path:
    """The bundle that RUN names: the folder itself, or `model/` of a run folder.

    Raises:
        RunError: neither is there.
    """
    if (path / "manifest.json").is_file():
        return path
    if (path / "model" / "manifest.json").is_file():
        return path / "model"
    if (path / "plan.yaml").is_file():
        raise RunError(
            "this run has no model yet",
            where=str(path),
            expected="a finished run",
            fix=f"go on with it: limpid train --out {path} --resume",
        )
    raise RunError(
        f"there is no run and no model at {path}",
        where=str(path),
        expected="a run folder (with plan.yaml) or a bundle (with manifest.json)",
        fix="check the path; runs are written under runs/ unless --out says otherwise",
    )
