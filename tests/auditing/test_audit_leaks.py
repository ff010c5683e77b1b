"""Planted leaks are found, and clean tables raise no alarm."""

import numpy as np
import polars as pl
import pytest
from leak_tables import KINDS, Case, clean

from limpid.auditing import leaks
from limpid.auditing.leaks import findings_of
from limpid.data.leaks import Leak

TABLES = 20


def suspects(case: Case) -> list[Leak]:
    return leaks.find(case.frame, case.specs, ["y"], case.part)


@pytest.mark.slow
def test_planted_leaks_of_twelve_kinds_are_found_in_twenty_tables() -> None:
    missed = []
    for n in range(TABLES):
        for name, (plant, wanted) in KINDS.items():
            case = plant(clean(n), np.random.default_rng(n))
            if not {leak.kind for leak in suspects(case)} & wanted:
                missed.append(f"{name} in table {n}")
    assert len(missed) <= 0.05 * TABLES * len(KINDS), missed


@pytest.mark.slow
def test_clean_tables_raise_no_alarm() -> None:
    alarms = {n: [leak.what for leak in found] for n in range(3 * TABLES) if (found := suspects(clean(n)))}
    assert len(alarms) <= 0.05 * 3 * TABLES, alarms


def test_only_what_the_model_reads_can_give_its_answers_away() -> None:
    case = KINDS["copy"][0](clean(0), np.random.default_rng(0))
    found = suspects(case)
    assert [f.level for f in findings_of(found, ["n0", "leak"], "") if f.topic == "leaks"] == ["fault"]
    assert [f.level for f in findings_of(found, ["n0"], "")] == ["ok"]


def test_an_unknown_split_is_said_and_nothing_is_claimed_about_it() -> None:
    case = KINDS["copies"][0](clean(0), np.random.default_rng(0))
    assert leaks.find(case.frame, case.specs, ["y"], None) == []
    said = findings_of([], ["n0"], "a bundle does not say which rows it learnt from")
    assert [(f.level, f.evidence) for f in said] == [("look", "a bundle does not say which rows it learnt from")]


def test_groups_and_times_that_the_split_respects_are_no_leak() -> None:
    case = KINDS["people"][0](clean(0), np.random.default_rng(0))
    person = case.frame["person"].str.slice(1).cast(pl.Int64).to_numpy()
    apart = np.where(person % 5 == 0, "test", "train")
    assert leaks.find(case.frame, case.specs, ["y"], apart) == []
    case = KINDS["in_time"][0](clean(0), np.random.default_rng(0))
    late = np.where(case.frame["day"].rank().to_numpy() > 700, "test", "train")
    assert {leak.kind for leak in leaks.find(case.frame, case.specs, ["y"], late)} & {"time", "order"} == set()
