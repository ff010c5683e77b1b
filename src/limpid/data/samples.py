"""Data that ship with a dependency: scikit-learn's own sets as typed tables, under `sample:NAME`."""

from __future__ import annotations

import re
from dataclasses import dataclass

import polars as pl

from limpid.core.errors import RequestError
from limpid.core.names import did_you_mean
from limpid.core.repairs import Repairs
from limpid.data.sources.base import FrameTable, Table


@dataclass(frozen=True)
class Sample:
    """A data set of scikit-learn.

    Args:
        loader: the function of `sklearn.datasets` that gives it.
        targets: the columns that it is usually asked for.
        sentence: what it is, with its size.
    """

    loader: str
    targets: tuple[str, ...]
    sentence: str

    @property
    def target(self) -> str:
        """The usual target as `--target` takes it."""
        return ",".join(self.targets)


SAMPLES: dict[str, Sample] = {
    "iris": Sample("load_iris", ("species",), "150 flowers of three species, four measures"),
    "wine": Sample("load_wine", ("cultivar",), "178 wines of three cultivars, 13 measures"),
    "breast_cancer": Sample("load_breast_cancer", ("diagnosis",), "569 tumours, benign or malignant, 30 measures"),
    "digits": Sample("load_digits", ("digit",), "1,797 written digits of 8 by 8 pixels"),
    "diabetes": Sample("load_diabetes", ("progression",), "442 patients, ten measures, progress of the illness"),
    "linnerud": Sample("load_linnerud", ("weight", "waist", "pulse"), "20 men, three exercises, three body measures"),
}
"""What `sample:NAME` knows."""


def open_sample(name: str, what: str = "DATA") -> Table:
    """A sample as a table, the target columns last.

    Args:
        name: its name in `SAMPLES`.
        what: the option that it was given for.

    Raises:
        RequestError: for a name that is not there.

    Example:
        >>> open_sample("iris").rows
        150
    """
    sample = SAMPLES.get(name)
    if sample is None:
        raise RequestError(
            f"there is no sample called {name!r}",
            where=f"{what} sample:{name}",
            expected="one of " + ", ".join(f"sample:{n}" for n in SAMPLES),
            fix=did_you_mean(name, SAMPLES),
        )
    from sklearn import datasets

    options = {"scaled": False} if name == "diabetes" else {}
    bunch = getattr(datasets, sample.loader)(**options)
    columns = {_column(str(n)): bunch.data[:, k] for k, n in enumerate(bunch.feature_names)}
    if name == "linnerud":
        columns |= {t: bunch.target[:, k] for k, t in enumerate(sample.targets)}
    elif name == "digits":
        columns = {n: v.astype("int64") for n, v in columns.items()} | {"digit": bunch.target}
    elif name == "diabetes":
        columns["progression"] = bunch.target
    else:
        columns[sample.targets[0]] = [str(bunch.target_names[k]) for k in bunch.target]
    table = FrameTable(f"sample:{name}", pl.DataFrame(columns), Repairs(), [f"{sample.sentence}, from scikit-learn"])
    table.target = sample.target
    return table


def _column(name: str) -> str:
    """A name without blanks and signs ("sepal length (cm)" is sepal_length_cm)."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
