"""A run that several tests look at."""

import polars as pl
import pytest
from api_tables import people, quick
from careless_tables import ROWS, fit, plain

import limpid


@pytest.fixture(scope="session")
def table() -> pl.DataFrame:
    return people()


@pytest.fixture(scope="session")
def run(table: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> limpid.Run:
    return quick(table.drop("score"), "answer", tmp_path_factory.mktemp("runs") / "answer")


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory) -> limpid.Run:
    frame = plain().with_columns(d=pl.Series([f"2020-{i % 12 + 1:02d}-{i % 28 + 1:02d}" for i in range(ROWS)]))
    return fit(frame, tmp_path_factory.mktemp("careless") / "first")


@pytest.fixture(scope="session")
def plain_model(tmp_path_factory: pytest.TempPathFactory) -> limpid.Model:
    return fit(plain(), tmp_path_factory.mktemp("careless") / "plain").model


@pytest.fixture(scope="session")
def dated_rows() -> pl.DataFrame:
    return plain().drop("y").with_columns(d=pl.Series([f"2020-{i % 12 + 1:02d}-{i % 28 + 1:02d}" for i in range(ROWS)]))
