"""Entries of the cache are whole or absent, the folder stays small, what is in use stays."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from limpid.core.errors import DataError
from limpid.data import cache


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIMPID_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def make(key: str, size: int = 1000, age: float = 0) -> Path:
    with cache.making(key) as folder:
        (folder / "content").write_bytes(b"x" * size)
    entry = cache.find(key)
    assert entry is not None
    os.utime(entry, (time.time() - age, time.time() - age))
    return entry


def test_the_folder_follows_the_platform(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    assert cache.folder() == root
    monkeypatch.delenv("LIMPID_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    if sys.platform == "linux":
        assert cache.folder() == Path("/somewhere/limpid")


def test_an_entry_appears_whole() -> None:
    with cache.making("table-1") as folder:
        (folder / "content").write_bytes(b"x")
        assert cache.find("table-1") is None
    entry = cache.find("table-1")
    assert entry is not None and (entry / "content").read_bytes() == b"x"


def test_an_entry_that_fails_leaves_nothing(root: Path) -> None:
    with pytest.raises(RuntimeError), cache.making("table-1"):
        raise RuntimeError
    assert list(root.iterdir()) == []


def test_the_first_of_two_makers_wins() -> None:
    with cache.making("table-1") as slow:
        (slow / "content").write_bytes(b"slow")
        make("table-1")
    entry = cache.find("table-1")
    assert entry is not None and (entry / "content").read_bytes() == b"x" * 1000


def test_the_oldest_goes_and_what_is_held_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMPID_CACHE_GB", "0.0000025")
    held = make("table-1", age=300)
    lock = cache.hold(held)
    make("table-2", age=200)
    make("table-3", age=100)
    with cache.making("table-4", need_bytes=1000) as folder:
        (folder / "content").write_bytes(b"x")
    assert [cache.find(f"table-{k}") is not None for k in range(1, 5)] == [True, False, False, True]
    assert lock is not None
    lock.close()
    assert cache.remove(held) and cache.find("table-1") is None


def test_what_a_killed_process_left_is_removed(root: Path) -> None:
    code = (
        "import os, signal\nfrom limpid.data import cache\n"
        "with cache.making('table-1') as folder:\n"
        "    (folder / 'content').write_bytes(b'x')\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run(
        [sys.executable, "-c", code], check=False, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )
    assert len(list(root.glob("making-*"))) == 1
    with cache.making("table-2") as alive:
        make("table-3")
        assert alive.is_dir(), "one that is being made is not taken for a leftover"
    assert sorted(p.name for p in root.iterdir()) == ["table-2", "table-3"]


def test_a_disk_that_is_full_is_said() -> None:
    with pytest.raises(DataError, match="GB are needed") as caught, cache.making("table-1", need_bytes=1 << 60):
        pass
    assert "LIMPID_CACHE" in caught.value.fix


def test_a_folder_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("LIMPID_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match="cannot be written"), cache.making("table-1"):
        pass


def test_a_limit_that_is_no_number(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LIMPID_CACHE_GB", "much")
    with pytest.raises(DataError, match="'much'"):
        cache.limit_bytes(tmp_path)
