import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from limpid.core.schema import Recognition
from limpid.data.facts import column_facts
from limpid.data.kinds import Recognisers, recognise, recognise_all
from limpid.modalities import CATALOGUE

RNG = np.random.default_rng(3)
N = 600


@pytest.fixture(scope="module")
def recognisers() -> Recognisers:
    return {e.name: CATALOGUE.load(e.name, where="test").recognise for e in CATALOGUE}


COLUMNS = {
    "price": ("number", RNG.lognormal(size=N).round(3).astype(str)),
    "rooms": ("number", RNG.integers(1, 9, N).astype(str)),
    "term": ("number", RNG.choice(["36", "60"], N)),
    "year": ("number", np.arange(1800, 1800 + N).astype(str)),
    "area": ("number", RNG.choice(10**6, N, replace=False).astype(str)),
    "infinite": ("number", [*RNG.normal(size=N).astype(str), "inf"]),
    "state": ("category", RNG.choice([f"S{i}" for i in range(50)], N)),
    "flag": ("category", RNG.choice(["0", "1"], N)),
    "yes": ("category", RNG.choice(["yes", "no"], N)),
    "truth": ("category", RNG.random(N) > 0.5),
    "zip": ("category", RNG.choice(["02139", "94110", "10001"], N)),
    "zip_code": ("category", RNG.integers(10_000, 10_090, N).astype(str)),
    "storeId": ("category", RNG.integers(1, 90, N).astype(str)),
    "more": ("category", RNG.choice(["1", "2", "3", "4+"], N, p=[0.4, 0.3, 0.28, 0.02])),
    "sometimes": ("category", RNG.choice(["seen", ""], N)),
    "place": ("category", RNG.choice(["Paris, TX", "Austin, TX", "Reno, NV"], N)),
    "genres": ("labels", ["|".join(RNG.choice(list("abcdef"), k, replace=False)) for k in RNG.integers(1, 4, N)]),
    "lists": ("labels", [["a", "b"][: i % 3] for i in range(N)]),
    "when": ("date", [f"{1 + i % 12}/{1 + i % 28}/2011" for i in range(N)]),
    "month": ("date", [f"{2000 + i // 12}-{1 + i % 12:02}" for i in range(N)]),
    "title": ("text", [f"chief officer {i} {j}" for i, j in zip(RNG.permutation(N), RNG.permutation(N), strict=True)]),
    "chinese": ("text", [f"这是一个测试句子{i}号" for i in range(N)]),
    "employer": ("text", RNG.choice([f"firm {i}" for i in range(N)], N)),
    "id": ("key", RNG.choice(10**6, N, replace=False).astype(str)),
    "instant": ("key", np.arange(1, N + 1).astype(str)),
    "shuffled": ("key", RNG.permutation(N).astype(str)),
    "gaps": ("key", np.sort(RNG.choice(3 * N, N, replace=False)).astype(str)),
    "hash": ("key", [f"{i:08x}-q" for i in range(N)]),
    "bytes": ("key", [b"x"] * N),
    "same": ("constant", ["x"] * N),
    "empty": ("constant", [""] * N),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_careful_person_would_say_the_same(name: str, recognisers: Recognisers) -> None:
    kind, values = COLUMNS[name]
    facts = column_facts(pl.Series(name, list(values), strict=False))
    found, recognition = recognise(facts, recognisers)
    assert found == kind, recognition
    assert recognition.because and 0 < recognition.strength <= 1


def test_evidence_holds_its_figures(recognisers: Recognisers) -> None:
    kind, found = recognise(column_facts(pl.Series("x", ["1.5", "2.5", "9"] * 20)), recognisers)
    assert (kind, found.because) == ("number", "3 different numbers from 1.5 to 9")


def test_the_strongest_claim_wins_and_the_first_of_equals() -> None:
    facts = column_facts(pl.Series("x", ["a"]))
    claim = Recognition(0.5, "b")
    assert recognise(facts, {"one": lambda f: claim, "two": lambda f: claim})[0] == "one"
    assert recognise(facts, {"one": lambda f: claim, "two": lambda f: Recognition(0.6, "b")})[0] == "two"
    assert recognise(facts, {"one": lambda f: None})[0] == "text"


def test_a_key_is_read_where_it_is_the_only_input(recognisers: Recognisers) -> None:
    running = column_facts(pl.Series("t", range(100)))
    target = column_facts(pl.Series("y", RNG.normal(size=100)))
    other = column_facts(pl.Series("z", RNG.normal(size=100)))
    assert recognise_all([running, target, other], recognisers, targets=["y"])["t"][0] == "key"
    kind, found = recognise_all([running, target], recognisers, targets=["y"])["t"]
    assert kind == "number" and "no other input" in found.because


REAL = {
    "california-housing/housing.csv": {"category": "ocean_proximity", "number": "*"},
    "bike-sharing/bike.csv": {"key": "instant", "date": "dteday", "category": "yr holiday workingday", "number": "*"},
    "lending-loans/loans.csv": {
        "key": "rownames",
        "text": "emp_title",
        "date": "issue_month",
        "category": "state homeownership verified_income verification_income_joint current_accounts_delinq "
        "num_accounts_120d_past_due num_accounts_30d_past_due loan_purpose application_type grade sub_grade loan_status "
        "initial_listing_status disbursement_method",
        "number": "*",
    },
    "elec2/elec.csv": {"category": "class", "number": "*"},
    "sms-spam/spam.csv": {"category": "label", "text": "text"},
    "beijing-pm25/pollution.csv": {"key": "No", "category": "cbwd", "number": "*"},
    "insteval/InstEval.csv": {"key": "rownames", "category": "service", "number": "*"},
    "air-passengers/airline-passengers.csv": {"date": "Month", "number": "*"},
}


@pytest.mark.parametrize("file", REAL)
def test_kinds_of_real_tables(file: str, recognisers: Recognisers) -> None:
    folder = os.environ.get("LIMPID_DATA")
    if not folder:
        pytest.skip("needs LIMPID_DATA")
    frame = pl.read_csv(Path(folder) / file, infer_schema=False, encoding="utf8-lossy")
    named = {column: kind for kind, columns in REAL[file].items() for column in columns.split()}
    found = {c: recognise(column_facts(frame[c]), recognisers)[0] for c in frame.columns}
    assert found == {c: named.get(c, named.get("*")) for c in frame.columns}
