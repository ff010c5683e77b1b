"""How does a training survive a kill or a power cut at any moment, with the same weights in the end?

A checkpoint is two files, data only: NAME.safetensors, and NAME.json with the figures, the sha256 of the first and a
digest of itself. Each is written whole (temporary, fsync, rename, fsync of the folder), the tensors first, so that what
the JSON names is there. The last two are kept; each holds the best weights so far. A resumed training takes the newest
that verifies.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from limpid.core.errors import RunError
from limpid.core.files import dump_json, load_json, read_bounded, replacing, write_bytes

FORMAT = 1
FINAL = "final"
_KEPT = 2
_JSON_LIMIT = 64 << 20
_TENSOR_LIMIT = 1 << 40
_NAME = re.compile(r"step-(\d{1,15})\.json")


@dataclass(frozen=True)
class Saved:
    """A checkpoint as it was read.

    Args:
        name: "step-N" or "final".
        tensors: by name.
        state: the figures.
    """

    name: str
    tensors: dict[str, Tensor]
    state: dict[str, Any]


class Checkpoints:
    """The folder checkpoint/ of a run.

    Args:
        folder: made when the first checkpoint is saved.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, name: str, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> Path:
        """Write a checkpoint, then remove those that are no longer needed.

        Args:
            name: "step-N" or "final".
            tensors: by name.
            state: the figures, as JSON.

        Raises:
            RunError: it could not be written; earlier checkpoints are untouched.
        """
        content = safetensors.torch.save({key: t.detach().cpu().contiguous() for key, t in tensors.items()})
        with replacing(self.folder / f"{name}.safetensors") as file:
            file.write(content)
        head = {"format": FORMAT, "size": len(content), "sha256": sha256(content).hexdigest(), "state": dict(state)}
        path = self.folder / f"{name}.json"
        write_bytes(path, dump_json({"digest": _digest(head), **head}).encode() + b"\n")
        self._prune()
        return path

    def newest(self) -> tuple[Saved | None, list[str]]:
        """The newest checkpoint that verifies, and what is wrong with each newer one."""
        problems: list[str] = []
        for name in self.names():
            try:
                return self.read(name), problems
            except RunError as problem:
                problems.append(f"{name}: {problem.what}")
        return None, problems

    def names(self) -> list[str]:
        """Names of the checkpoints that are there, newest first, whole or not."""
        if not self.folder.is_dir():
            return []
        steps = [int(m[1]) for p in self.folder.iterdir() if (m := _NAME.fullmatch(p.name))]
        final = [FINAL] if (self.folder / f"{FINAL}.json").exists() else []
        return final + [f"step-{step}" for step in sorted(steps, reverse=True)]

    def read(self, name: str) -> Saved:
        """Read one checkpoint and verify every byte of it.

        Raises:
            RunError: it is missing, damaged or of another format.
        """
        path = self.folder / f"{name}.json"
        head = load_json(read_bounded(path, _JSON_LIMIT, RunError, noun="checkpoint"), RunError, where=str(path))
        if not isinstance(head, dict) or not isinstance(head.get("state"), dict):
            raise _damaged("it is not a checkpoint", path)
        found = head.pop("digest", None)
        if head.get("format") != FORMAT:
            raise _damaged(f"its format is {head.get('format')!r}, not {FORMAT}", path)
        if found != _digest(head):
            raise _damaged("its figures do not match their digest", path)
        return Saved(name, self._tensors(name, head), head["state"])

    def _tensors(self, name: str, head: Mapping[str, Any]) -> dict[str, Tensor]:
        path = self.folder / f"{name}.safetensors"
        size = head.get("size")
        if not isinstance(size, int) or not 0 <= size <= _TENSOR_LIMIT:
            raise _damaged("it does not say how large its tensors are", path)
        content = read_bounded(path, size, RunError, noun="checkpoint")
        if sha256(content).hexdigest() != head.get("sha256"):
            raise _damaged("its tensors do not match their sha256", path)
        try:
            # Copied: the parsed tensors look into the bytes at any offset, and alignment may show in the last bits.
            return {key: t.clone() for key, t in safetensors.torch.load(content).items()}
        except SafetensorError as error:
            raise _damaged(f"its tensors cannot be read: {error}", path) from error

    def _prune(self) -> None:
        for name in [n for n in self.names() if n != FINAL][_KEPT:]:
            # The JSON first: without it the tensors are no checkpoint.
            for suffix in (".json", ".safetensors"):
                with suppress(OSError):
                    (self.folder / f"{name}{suffix}").unlink(missing_ok=True)
        # What a kill left: temporaries, and tensors whose JSON was never written.
        lone = [p for p in self.folder.glob("*.safetensors") if not p.with_suffix(".json").exists()]
        for orphan in [*lone, *self.folder.glob(".*.tmp")]:
            with suppress(OSError):
                orphan.unlink()


def _digest(head: Mapping[str, Any]) -> str:
    return sha256(dump_json({k: head[k] for k in sorted(head)}, indent=None).encode()).hexdigest()


def _damaged(what: str, path: Path) -> RunError:
    return RunError(
        what,
        where=str(path),
        expected="a checkpoint as it was written",
        fix="go on with --resume, which takes the newest whole checkpoint",
    )
