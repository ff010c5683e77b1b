"""A run that several tests look at."""

import polars as pl
import pytest
from api_tables import people, quick

import limpid


@pytest.fixture(scope="session")
def table() -> pl.DataFrame:
    return people()


@pytest.fixture(scope="session")
def run(table: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> limpid.Run:
    return quick(table.drop("score"), "answer", tmp_path_factory.mktemp("runs") / "answer")
