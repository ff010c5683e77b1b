"""The cache folder: where large tables and measurements of the machine are kept between runs, and how it stays small.

Everything in it can be deleted at any time; it is made anew when needed. It lies in LIMPID_CACHE, or else in the
user's cache folder of the platform. An entry is a folder that appears by one rename, so that two processes that make
the same one both see it whole. What is in use holds a lock and is not removed.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from limpid.core.errors import DataError

_LOCK = ".lock"
_LARGEST = 50 << 30


def folder() -> Path:
    """The cache folder; it need not exist yet.

    Example:
        >>> folder().is_absolute()
        True
    """
    chosen = os.environ.get("LIMPID_CACHE")
    if chosen:
        return Path(chosen).absolute()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base.absolute() / "limpid"


def limit_bytes(root: Path) -> int:
    """How large all entries together may grow: LIMPID_CACHE_GB, or half of what the disk could give, 50 GB at most.

    Raises:
        DataError: where LIMPID_CACHE_GB is no number.
    """
    chosen = os.environ.get("LIMPID_CACHE_GB")
    if chosen:
        try:
            return max(0, int(float(chosen) * 1e9))
        except (ValueError, OverflowError) as error:
            raise DataError(
                f"LIMPID_CACHE_GB is {chosen!r}",
                where="environment variable LIMPID_CACHE_GB",
                expected="a number of gigabytes, such as 20",
                fix="set it to a number, or unset it",
            ) from error
    return min(_LARGEST, (shutil.disk_usage(root).free + _size(root)) // 2)


@contextmanager
def making(key: str, need_bytes: int = 0) -> Iterator[Path]:
    """A temporary folder that becomes the entry `key` when the block ends without an error.

    Where another process was faster, its entry stays and this one is dropped; both hold the same.

    Args:
        key: letters, digits and dashes.
        need_bytes: a guess of the size, so that a full disk is found before the work.

    Raises:
        DataError: where the folder cannot be written or has no room.
    """
    assert key.replace("-", "").isalnum(), f"not a cache key: {key!r}"
    root = folder()
    temporary = root / f"making-{key}-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        root.mkdir(parents=True, exist_ok=True)
        _make_room(root, need_bytes)
        if shutil.disk_usage(root).free < need_bytes:
            raise OSError(
                f"about {need_bytes / 1e9:.1f} GB are needed, {shutil.disk_usage(root).free / 1e9:.1f} are free"
            )
        temporary.mkdir()
        lock = hold(temporary)
    except OSError as error:
        raise _no_room(root, error) from error
    try:
        yield temporary
        if lock is not None and sys.platform == "win32":
            lock.close()  # Windows renames no folder in which a file is open.
        with suppress(OSError):  # the target exists: another process was faster
            os.replace(temporary, root / key)
    except OSError as error:
        raise _no_room(root, error) from error
    finally:
        if lock is not None:
            lock.close()
        shutil.rmtree(temporary, ignore_errors=True)


def _no_room(root: Path, error: OSError) -> DataError:
    return DataError(
        f"the cache folder cannot be written: {error.strerror or error}",
        where=str(root),
        expected="a folder that can be written, with room for the table",
        fix="set LIMPID_CACHE to a folder on a disk with more room",
    )


def find(key: str) -> Path | None:
    """The folder of the entry `key`, marked as used just now, or None."""
    entry = folder() / key
    if not entry.is_dir():
        return None
    with suppress(OSError):
        os.utime(entry)
    return entry


def hold(entry: Path) -> IO[bytes] | None:
    """Keep an entry from being removed until the returned file is closed; None where it just was."""
    try:
        lock = (entry / _LOCK).open("ab")
    except OSError:
        return None
    if sys.platform != "win32":  # Windows removes no folder in which a file is open.
        import fcntl

        try:
            fcntl.flock(lock.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            return None
    return lock


def remove(entry: Path) -> bool:
    """Delete an entry unless it is in use; returns whether it is gone."""
    doomed = entry.with_name(f"going-{secrets.token_hex(8)}")
    try:
        if sys.platform == "win32":
            os.replace(entry, doomed)
        else:
            import fcntl

            with (entry / _LOCK).open("ab") as lock:
                fcntl.flock(lock.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.replace(entry, doomed)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    shutil.rmtree(doomed, ignore_errors=True)
    return True


def _make_room(root: Path, need_bytes: int) -> None:
    """Remove what interrupted processes left, then the entries unused for longest."""
    entries: list[tuple[float, int, Path]] = []
    for path in root.iterdir():
        with suppress(OSError):
            if not path.is_dir() or path.is_symlink():
                continue
            if path.name.startswith("going-"):
                shutil.rmtree(path, ignore_errors=True)
            elif path.name.startswith("making-"):
                remove(path)  # a live process holds its lock
            else:
                entries.append((path.stat().st_mtime, _size(path), path))
    total = sum(size for _, size, _ in entries)
    limit = limit_bytes(root)
    for _, size, path in sorted(entries):
        if total + need_bytes <= limit:
            return
        if remove(path):
            total -= size


def _size(path: Path) -> int:
    total = 0
    for base, _, names in os.walk(path):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(base, name)).st_size
    return total
