"""Freed memory is kept for the next tensor while a network is trained, and goes back afterwards."""

import sys

import pytest
import torch

from limpid.layers import heap
from limpid.layers.heap import kept_memory

SIZE = 16 << 20


def faults() -> int:
    resource = pytest.importorskip("resource")
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


def turns(count: int) -> None:
    for _ in range(count):
        torch.zeros(SIZE, dtype=torch.uint8), torch.zeros(SIZE, dtype=torch.uint8)


glibc = pytest.mark.skipif(heap._glibc() is None, reason="needs glibc")


@glibc
def test_within_it_the_system_is_asked_once_and_afterwards_gets_all_back():
    with kept_memory():
        turns(20)  # until the heap has a place for both
        before = faults()
        turns(20)
        assert faults() - before < 40 * SIZE // 4096 // 4, "of all pages of 40 tensors"
        held = [torch.ones(SIZE, dtype=torch.uint8) for _ in range(12)]
        del held
        inside = resident()
    assert inside - resident() > 8 * SIZE


@glibc
def test_only_the_outermost_one_gives_back(monkeypatch):
    called = []
    library = heap._glibc()
    monkeypatch.setattr(heap, "_glibc", lambda: Spy(library, called))
    outer = kept_memory()
    with pytest.raises(ZeroDivisionError), outer:
        _within(called)
    assert called.count("malloc_trim") == 1 and heap._users == 0


def _within(called):
    with kept_memory():
        turns(1)
    assert called and "malloc_trim" not in called
    raise ZeroDivisionError


class Spy:
    def __init__(self, library, called):
        self.library, self.called = library, called

    def __getattr__(self, name):
        self.called.append(name)
        return getattr(self.library, name)


def test_elsewhere_nothing_is_changed(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    heap._glibc.cache_clear()
    try:
        assert heap._glibc() is None
        with kept_memory():
            assert heap._users == 0
    finally:
        heap._glibc.cache_clear()
