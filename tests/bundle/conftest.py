"""A bundle that several tests look at."""

from pathlib import Path

import pytest
from bundle_models import make

from limpid.bundle.model import Model


@pytest.fixture(scope="session")
def model() -> Model:
    return make()


@pytest.fixture
def folder(model: Model, tmp_path: Path) -> Path:
    path = tmp_path / "model"
    model.save(path, version="0.1.0")
    return path
