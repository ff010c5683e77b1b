"""Tables that several tests of evaluation share."""

import numpy as np
import pytest
from evaluation_tables import Table, build


@pytest.fixture(scope="session")
def two_classes() -> Table:
    return build(
        lambda n, m, c, r: {"t": np.where(n[:, 0] + (c[:, 0] == 3) + 0.5 * r.normal(size=len(n)) > 0.3, "yes", "no")}
    )


@pytest.fixture(scope="session")
def numbers() -> Table:
    return build(
        lambda n, m, c, r: {"y": 50 + 5 * n[:, 0] ** 2 + 3 * c[:, 0] + 0.5 * r.normal(size=len(n))},
        task="regression",
        kind="number",
    )
