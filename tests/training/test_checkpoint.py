"""Checkpoints under power loss, full disks and damage."""

import errno
import json
import os
import random
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from limpid.core import files
from limpid.core.errors import RunError
from limpid.training.checkpoint import FINAL, Checkpoints


def tensors(step: int) -> dict[str, torch.Tensor]:
    return {"model/w": torch.full((3, 2), float(step)), "model/n": torch.tensor(step), "none": torch.zeros(0)}


def state(step: int) -> dict[str, object]:
    return {"position": {"step": step, "third": 1 / 3}}


def save(folder: Path, step: int) -> None:
    Checkpoints(folder).save(f"step-{step}", tensors(step), state(step))


def newest_step(folder: Path) -> int | None:
    found, _ = Checkpoints(folder).newest()
    if found is None:
        return None
    step = found.state["position"]["step"]
    assert torch.equal(found.tensors["model/w"], tensors(step)["model/w"])
    return int(step)


def test_what_was_saved_is_read(tmp_path):
    save(tmp_path, 5)
    found, problems = Checkpoints(tmp_path).newest()
    assert found is not None and not problems
    assert found.name == "step-5" and found.state == state(5)
    assert {k: (v.shape, v.dtype) for k, v in found.tensors.items()} == {
        k: (v.shape, v.dtype) for k, v in tensors(5).items()
    }


def test_the_last_two_are_kept_and_leftovers_swept(tmp_path):
    (tmp_path / ".step-1.json.99.tmp").write_bytes(b"torn")
    (tmp_path / "step-0.safetensors").write_bytes(b"its JSON was never written")
    for step in (1, 2, 10, 9):
        save(tmp_path, step)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        f"step-{n}{suffix}" for n in (10, 9) for suffix in (".json", ".safetensors")
    ]


def test_the_final_state_comes_first_and_stays(tmp_path):
    save(tmp_path, 8)
    Checkpoints(tmp_path).save(FINAL, tensors(7), state(7))
    save(tmp_path, 9)
    assert Checkpoints(tmp_path).names() == ["final", "step-9", "step-8"]
    assert newest_step(tmp_path) == 7


def test_no_folder_holds_nothing(tmp_path):
    assert Checkpoints(tmp_path / "none").newest() == (None, [])


@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
def test_one_bit_changed_anywhere_falls_back_to_the_one_before(tmp_path, suffix):
    save(tmp_path, 1)
    save(tmp_path, 2)
    path = tmp_path / f"step-2{suffix}"
    whole = path.read_bytes()
    draw = random.Random(0)
    for _ in range(60):
        # The line break that ends the JSON is not part of it.
        place = draw.randrange(len(whole) - (suffix == ".json"))
        changed = bytearray(whole)
        changed[place] ^= 1 << draw.randrange(8)
        path.write_bytes(changed)
        found, problems = Checkpoints(tmp_path).newest()
        assert found is not None
        assert found.name == "step-1", f"bit {place}"
        assert len(problems) == 1 and problems[0].startswith("step-2: ")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
def test_a_truncated_or_missing_file_falls_back(tmp_path, share, suffix):
    save(tmp_path, 1)
    save(tmp_path, 2)
    path = tmp_path / f"step-2{suffix}"
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert newest_step(tmp_path) == 1
    path.unlink()
    assert newest_step(tmp_path) == 1


def test_all_damaged_is_none_with_every_problem(tmp_path):
    save(tmp_path, 1)
    save(tmp_path, 2)
    for path in tmp_path.glob("*.safetensors"):
        path.write_bytes(b"")
    found, problems = Checkpoints(tmp_path).newest()
    assert found is None and [p.partition(":")[0] for p in problems] == ["step-2", "step-1"]


def test_json_that_is_valid_but_no_checkpoint(tmp_path):
    for n, content in enumerate(["[]", "{}", '{"state": {}, "format": 99}', '{"state": {}, "format": 1}', '"x"']):
        (tmp_path / f"step-{n}.json").write_text(content)
    found, problems = Checkpoints(tmp_path).newest()
    assert found is None and len(problems) == 5


def test_a_size_that_lies_is_refused(tmp_path):
    save(tmp_path, 1)
    path = tmp_path / "step-1.json"
    head = json.loads(path.read_text())
    del head["digest"]
    for size in (10, -1, "x", None):
        from limpid.training.checkpoint import _digest

        lie = {**head, "size": size}
        path.write_text(json.dumps({"digest": _digest(lie), **lie}))
        assert Checkpoints(tmp_path).newest()[0] is None


# R4: a disk that fails


class Failing:
    """Fails the nth call of all those that write."""

    def __init__(self, monkeypatch, number: int, code: int) -> None:
        self.left, self.code = number, code
        real_open, real_fsync, real_replace, real_os_open = Path.open, os.fsync, os.replace, os.open

        def opened(path, mode="r", *args, **options):
            if "w" not in mode:
                return real_open(path, mode, *args, **options)
            self.hit()
            file = real_open(path, mode, *args, **options)
            real_write, outer = file.write, self

            class Proxy:
                def __enter__(self):
                    return self

                def __exit__(self, *error):
                    file.close()

                def write(self, content):
                    outer.hit(lambda: real_write(content[: len(content) // 2]))
                    return real_write(content)

                def flush(self):
                    outer.hit()
                    file.flush()

                def fileno(self):
                    return file.fileno()

            return Proxy()

        def counted(real):
            def call(*args, **options):
                self.hit()
                return real(*args, **options)

            return call

        monkeypatch.setattr(Path, "open", opened)
        monkeypatch.setattr(files.os, "fsync", counted(real_fsync))
        monkeypatch.setattr(files.os, "replace", counted(real_replace))
        monkeypatch.setattr(files.os, "open", counted(real_os_open))

    def hit(self, before=lambda: None) -> None:
        self.left -= 1
        if self.left == 0:
            before()
            raise OSError(self.code, os.strerror(self.code))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_a_failing_disk_leaves_the_checkpoint_before(tmp_path, code):
    failed = 0
    for number in range(1, 40):
        folder = tmp_path / str(number)
        save(folder, 1)
        with pytest.MonkeyPatch.context() as patch:
            disk = Failing(patch, number, code)
            try:
                save(folder, 2)
                if disk.left > 0:
                    break
                outcome = "saved"
            except RunError as error:
                outcome = f"refused: {error}"
        if outcome != "saved":
            assert os.strerror(code) in outcome
            assert "untouched" in outcome
        failed += outcome != "saved"
        assert newest_step(folder) in (1, 2)
        if not (folder / "step-2.json").exists():
            assert newest_step(folder) == 1
        assert not list(folder.glob(".*.tmp"))
    assert failed >= 12  # open, write, flush, fsync, rename, open and fsync of the folder, for two files


# R3: a power cut


@dataclass
class Disk:
    """What a disk may hold after a power cut: names are durable after an fsync of the folder, bytes after one of the file.

    Everything since then may be there or not, in the order in which it was done.
    """

    operations: list[tuple] = field(default_factory=list)

    def record(self, monkeypatch) -> None:
        real_open, real_fsync, real_replace, real_unlink = Path.open, os.fsync, os.replace, Path.unlink

        def opened(path, mode="r", *args, **options):
            file = real_open(path, mode, *args, **options)
            if "w" in mode:
                self.operations.append(("create", path.name, os.fstat(file.fileno()).st_ino))
            return file

        def fsync(descriptor):
            real_fsync(descriptor)
            path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
            if path.is_dir():
                self.operations.append(("sync names",))
            else:
                self.operations.append(("sync bytes", os.fstat(descriptor).st_ino, path.read_bytes()))

        def replace(source, target):
            real_replace(source, target)
            self.operations.append(("rename", Path(source).name, Path(target).name))

        def unlink(path, missing_ok=False):
            real_unlink(path, missing_ok=missing_ok)
            self.operations.append(("unlink", path.name))

        monkeypatch.setattr(Path, "open", opened)
        monkeypatch.setattr(files.os, "fsync", fsync)
        monkeypatch.setattr(files.os, "replace", replace)
        monkeypatch.setattr(Path, "unlink", unlink)

    def states(self, count: int):
        """Every folder that the first `count` operations may have left."""
        durable: dict[str, tuple[int, int]] = {}
        pending: list[tuple] = []
        synced: dict[tuple[int, int], bytes] = {}
        living: dict[int, int] = {}  # inode numbers are used again; a generation tells them apart
        for operation in self.operations[:count]:
            kind = operation[0]
            if kind == "sync names":
                for change in pending:
                    self._apply(durable, change)
                pending = []
            elif kind == "sync bytes":
                synced[(operation[1], living[operation[1]])] = operation[2]
            elif kind == "create":
                living[operation[2]] = living.get(operation[2], 0) + 1
                pending.append(("create", operation[1], (operation[2], living[operation[2]])))
            else:
                pending.append(operation)
        for n in range(len(pending) + 1):
            names = dict(durable)
            for change in pending[:n]:
                self._apply(names, change)
            yield {name: synced.get(inode, b"") for name, inode in names.items()}

    @staticmethod
    def _apply(names, change) -> None:
        if change[0] == "create":
            names[change[1]] = change[2]
        elif change[0] == "rename" and change[1] in names:
            names[change[2]] = names.pop(change[1])
        elif change[0] == "unlink":
            names.pop(change[1], None)


def test_a_power_cut_at_any_moment_leaves_a_whole_checkpoint(tmp_path):
    disk, done = Disk(), []
    with pytest.MonkeyPatch.context() as patch:
        disk.record(patch)
        for step in (1, 2, 3, 4):
            save(tmp_path / "run", step)
            done.append((len(disk.operations), step))
    seen = 0
    for count in range(len(disk.operations) + 1):
        finished = max((step for end, step in done if end <= count), default=0)
        for n, contents in enumerate(disk.states(count)):
            folder = tmp_path / f"cut-{count}-{n}"
            folder.mkdir()
            for name, content in contents.items():
                (folder / name).write_bytes(content)
            found = newest_step(folder)
            assert (found or 0) in (finished, finished + 1), f"after {count} operations"
            seen += 1
    assert seen > 40
