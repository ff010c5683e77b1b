"""Small runs that several tests audit."""

import pytest
from audit_tables import fit, people

import limpid
from limpid.api.audit_rows import Subject, read
from limpid.core.repairs import Repairs
from limpid.core.run import RunFolder
from limpid.data.table import open_table


@pytest.fixture(scope="session")
def classified(tmp_path_factory: pytest.TempPathFactory) -> limpid.Run:
    folder = tmp_path_factory.mktemp("audit") / "classes"
    return fit(people().drop("amount"), "answer", folder, **{"data.columns.team.use": False})


@pytest.fixture(scope="session")
def valued(tmp_path_factory: pytest.TempPathFactory) -> limpid.Run:
    return fit(people().drop("answer"), "amount", tmp_path_factory.mktemp("audit") / "values")


def subject_of(run: limpid.Run, groups: tuple[str, ...] = ("team",)) -> Subject:
    table = open_table(str(run.path.parent / "data.csv"))
    return read(run.model.bundle, table, groups, RunFolder(run.path), Repairs())


@pytest.fixture(scope="session")
def subject(classified: limpid.Run) -> Subject:
    return subject_of(classified)


@pytest.fixture(scope="session")
def values_subject(valued: limpid.Run) -> Subject:
    return subject_of(valued)
