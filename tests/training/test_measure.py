"""Measurements of the machine are made once and kept."""

import json
import threading

import pytest

from limpid.training import measure


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LIMPID_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "machine.json"


def counted():
    calls = []
    return calls, lambda: calls.append(1)


def test_a_figure_is_measured_until_two_agree_and_the_shorter_counts(cache, monkeypatch):
    times = iter([0.5, 0.1, 0.11, 9.0])
    monkeypatch.setattr(measure, "_measured", lambda _step: next(times))
    _, step = counted()
    assert [measure.step_seconds("net a", step) for _ in range(5)] == [0.5, 0.1, 0.1, 0.1, 0.1]
    assert next(times) == 9.0


def test_a_fresh_figure_neither_reads_nor_writes_the_cache(cache):
    calls, step = counted()
    assert measure.step_seconds("net a", step, fresh=True) > 0
    assert measure.step_seconds("net a", step, fresh=True) > 0
    assert len(calls) == 14
    assert not cache.exists()


def test_another_machine_keeps_its_own_figures(cache, monkeypatch):
    calls, step = counted()
    measure.step_seconds("net a", step)
    monkeypatch.setattr(measure, "machine_key", lambda: "another machine")
    measure.step_seconds("net a", step)
    assert len(calls) == 14
    assert len(json.loads(cache.read_text())) == 2


@pytest.mark.parametrize("content", ["", "{", "[]", '{"k": 3}', "\x00\x01", '{"a": 1, "a": 2}'])
def test_a_damaged_cache_is_measured_anew(cache, content):
    cache.parent.mkdir(parents=True)
    cache.write_text(content)
    calls, step = counted()
    measure.step_seconds("net a", step)
    assert calls and json.loads(cache.read_text())[measure.machine_key()]


@pytest.mark.parametrize("value", [0, "x", None, [1]])
def test_a_figure_that_cannot_be_one_is_passed_over(cache, value):
    calls, step = counted()
    measure.step_seconds("net a", step)
    kept = json.loads(cache.read_text())
    key = next(iter(kept[measure.machine_key()]))
    kept[measure.machine_key()][key] = value
    cache.write_text(json.dumps(kept))
    assert measure.step_seconds("net a", step) > 0
    assert len(calls) == 14


def test_a_folder_that_cannot_be_written_costs_only_the_measurement(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("LIMPID_CACHE", str(tmp_path / "file" / "cache"))
    calls, step = counted()
    assert measure.step_seconds("net a", step) > 0
    assert calls


def test_what_another_process_confirmed_counts(cache):
    from hashlib import sha256

    key = sha256(b"net a").hexdigest()[:24]

    def slow():
        if not cache.exists():  # another process measures the same in the meantime, twice
            measure._keep(key, 0.25)
            measure._keep(key, 0.3)

    assert measure.step_seconds("net a", slow) == 0.25


def test_two_at_once_leave_a_whole_file(cache):
    def many(start):
        for n in range(10):
            measure._keep(f"{start}-{n}", 1.0)

    workers = [threading.Thread(target=many, args=(k,)) for k in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert json.loads(cache.read_text())


def test_the_file_stays_small(cache):
    cache.parent.mkdir(parents=True)
    figures = {f"k{n}": 1.0 for n in range(600)}
    machines = {f"machine {n}": {"a": 1.0} for n in range(20)}
    cache.write_text(json.dumps({**machines, measure.machine_key(): figures}))
    measure._keep("new", 2.0)
    kept = json.loads(cache.read_text())
    assert len(kept) == 8 and len(kept[measure.machine_key()]) == 500
    assert kept[measure.machine_key()]["new"] == 2.0


def test_flops_are_those_of_a_processor():
    import torch

    before = torch.get_num_threads()
    assert 1e8 < measure.flops("fp32", 1) < 1e14
    assert 1e8 < measure.flops("bf16", 0) < 1e14
    assert torch.get_num_threads() == before


def test_threads_respect_the_control_group(tmp_path):
    assert measure.threads() >= 1
    path = tmp_path / "cpu.max"
    for content, expected in [("max 100000", None), ("150000 100000", 1.5), ("nonsense", None)]:
        path.write_text(content)
        assert measure._quota(path) == expected
    assert measure._quota(tmp_path / "none") is None
