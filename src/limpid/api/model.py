"""A trained model as Python users hold it: `limpid.load(path)`, `model.predict(frame)`, `model.evaluate(frame)`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from limpid.api.forecasts import cutting_of, forecast_table
from limpid.bundle.model import Model as Bundle
from limpid.core.errors import DataError, RequestError
from limpid.core.names import unknown_column
from limpid.core.repairs import Repairs
from limpid.core.run import find_bundle
from limpid.data.sources.layout import arrange
from limpid.data.table import Table, open_table, with_files

_ROWS = 65_536


class Model:
    """A trained model.

    Attributes:
        bundle: the loaded bundle: task, encoders, network.
        repairs: what had to be mended in the rows of the last call.

    Example:
        >>> import limpid
        >>> run = limpid.train("sample:iris", quiet=True, set={"train.epochs": 2})  # doctest: +SKIP
        >>> row = {"sepal_length_cm": 5.1, "sepal_width_cm": 3.5, "petal_length_cm": 1.4, "petal_width_cm": 0.2}
        >>> run.model.predict(row)["prediction"]  # doctest: +SKIP
        'setosa'
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.repairs = Repairs()

    @property
    def task(self) -> str:
        """Name of the task."""
        return self.bundle.task.name

    @property
    def target(self) -> tuple[str, ...]:
        """Names of the target columns."""
        return self.bundle.target

    @property
    def inputs(self) -> list[str]:
        """Names of the columns that the model reads."""
        cutting = cutting_of(self.bundle)
        return list(self.bundle.encoders.columns) if cutting is None else cutting.layout.needed

    def predict(self, data: Any, *, keep: Sequence[str] = ()) -> Any:
        """Answer for each row.

        Args:
            data: a frame (polars or pandas), a dictionary of values (one row) or of columns, a path, a 2-D array.
            keep: columns of the data to put before the answers.

        Returns:
            As many rows as came in, in their order: a frame of the library that the data came in, or a dictionary
            for one row given as a dictionary. Where rows of a text file could not be read, their answers are null
            and a column `error` says why. A forecasting model gives the next steps of each series that came in.

        Raises:
            DataError: a column that the model needs is missing.
            RequestError: a column to keep does not exist.
        """
        self.repairs = Repairs()
        if cutting_of(self.bundle) is not None:
            answer = forecast_table(self.bundle, open_table(data), self.repairs, keep)
            return answer.to_pandas() if _is_pandas(data) else answer
        files = self.bundle.encoders.files
        if (row := self._one_series(data)) is not None:
            return predict_table(self.bundle, open_table(row), self.repairs, keep).row(0, named=True)
        if isinstance(data, Mapping) and all(_scalar(v) or k in files for k, v in data.items()):
            if not files:
                frame = pl.DataFrame({str(k): [v] for k, v in data.items()}, strict=False)
                _, answer = self.bundle.predict_frame(frame, self.repairs)
                return answer.row(0, named=True)
            if any(_scalar(data[k]) or hasattr(data[k], "shape") for k in files if k in data):
                one = {str(k): v[None] if hasattr(v, "shape") else [v] for k, v in data.items()}
                return predict_table(self.bundle, open_table(one), self.repairs, keep).row(0, named=True)
        answer = predict_table(self.bundle, open_table(data, lenient=True), self.repairs, keep)
        return answer.to_pandas() if _is_pandas(data) else answer

    def _one_series(self, data: Any) -> dict[str, Any] | None:
        """One row given as a dictionary, its series as a plain list or in a value for each time step, as columns."""
        if not isinstance(data, Mapping):
            return None
        lists = [name for name, column in self.bundle.encoders.columns.items() if column.kind == "series"]
        flat = [n for n in lists if n in data and not _scalar(data[n]) and len(data[n]) and _scalar(data[n][0])]
        spread = self.bundle.series is not None and all(_scalar(v) for v in data.values())
        return {str(k): [v] for k, v in data.items()} if flat or spread else None

    def predict_proba(self, data: Any) -> Any:
        """Class probabilities as an (N,K) numpy array, for classification.

        Raises:
            RequestError: the model does not classify.
        """
        if self.task != "classification":
            raise RequestError(
                f"a {self.task} model has no class probabilities",
                where="predict_proba",
                expected="a classification model",
                fix="use predict",
            )
        self.repairs = Repairs()
        table = open_table(data)
        return self.bundle.task.predict(_raw(self.bundle, table, self.repairs)).values

    def predict_quantiles(self, data: Any) -> Any:
        """All quantiles of a forecast, `q5` to `q95`, beside the median.

        Args:
            data: as `predict` takes it.

        Raises:
            RequestError: the model does not forecast.
        """
        if cutting_of(self.bundle) is None:
            raise RequestError(
                f"a {self.task} model has no quantiles of steps to come",
                where="predict_quantiles",
                expected="a forecasting model",
                fix="use predict",
            )
        self.repairs = Repairs()
        answer = forecast_table(self.bundle, open_table(data), self.repairs, quantiles=True)
        return answer.to_pandas() if _is_pandas(data) else answer

    def evaluate(self, data: Any) -> dict[str, float | None]:
        """The model's figures on rows that have the target.

        Raises:
            DataError: the target or an input is missing.
        """
        from limpid.api.figures import evaluate_table

        self.repairs = Repairs()
        return evaluate_table(self.bundle, open_table(data), self.repairs).metrics

    def __repr__(self) -> str:
        what = f"{self.task} of {', '.join(self.target)}"
        return f"<limpid model: {what} from {len(self.inputs)} columns, net {self.bundle.net.name}>"


def load(path: str | Path, *, net: Any = None) -> Model:
    """Load a model from a bundle or a run folder; nothing in it can run.

    Args:
        path: a bundle, or a run folder that holds one.
        net: the module, for a model that was trained with a module of the user's own.

    Raises:
        RunError: there is no model.
        BundleError: it is damaged, hostile or of another version.
    """
    return Model(Bundle.load(find_bundle(Path(path)), net=net))


def predict_table(bundle: Bundle, table: Table, repairs: Repairs, keep: Sequence[str] = ()) -> pl.DataFrame:
    """Answers for all rows of a table, in their order.

    Raises:
        RequestError: a column to keep does not exist.
        DataError: a column that the model needs is missing.
    """
    table = arrange(table, bundle.series)
    keep = list(dict.fromkeys([keep] if isinstance(keep, str) else keep))
    for name in keep:
        if name not in table.columns:
            raise unknown_column(name, table.columns, where=f"--keep {name}", of=table.name)
    table = with_files(table, bundle.encoders.files)
    keep = [*(n for n in table.places if n not in keep), *keep]
    bundle.encoders.check_columns(table.columns, table.name)
    repairs.merge(table.repairs)
    answers = []
    reasons = dict(table.unreadable)
    needed = [n for n in table.columns if n in bundle.encoders.columns or n in keep]
    done = 0
    for frame in table.chunks(needed, _ROWS):
        _, answer = bundle.predict_frame(frame, repairs, where=table.name)
        reasons.update({done + place: why for place, why in repairs.take_rejected().items()})
        answers.append(pl.concat([frame.select(keep), _apart(answer, keep)], how="horizontal"))
        done += frame.height
    if not answers:
        raise DataError(
            "there are no rows to predict",
            where=table.name,
            expected="at least one row",
            fix="check that this is the right file",
        )
    whole = pl.concat(answers)
    return _without_answers(whole, reasons, table, repairs, keep) if reasons else whole


def _without_answers(
    answers: pl.DataFrame, reasons: Mapping[int, str], table: Table, repairs: Repairs, keep: Sequence[str]
) -> pl.DataFrame:
    """The answers with nothing in the rows that could not be read but the reason, in a further column `error`."""
    error = pl.Series("error", [reasons.get(row) for row in range(answers.height)], dtype=pl.String)
    first = reasons[min(reasons)]
    repairs.add(table.name, "rows could not be read; column 'error' says why", len(reasons), first)
    emptied = answers.select(
        pl.col(c) if c in keep else pl.when(error.is_null()).then(pl.col(c)).alias(c) for c in answers.columns
    )
    return pl.concat([emptied, _apart(error.to_frame(), answers.columns)], how="horizontal")


def _apart(answer: pl.DataFrame, others: Sequence[str]) -> pl.DataFrame:
    """Answer columns whose names do not clash with others."""
    taken = set(others)
    names = {}
    for column in answer.columns:
        name = column
        while name in taken:
            name += "_model"
        taken.add(name)
        names[column] = name
    return answer.rename(names)


def _raw(bundle: Bundle, table: Table, repairs: Repairs) -> Any:
    import numpy as np

    table = with_files(arrange(table, bundle.series), bundle.encoders.files)
    bundle.encoders.check_columns(table.columns, table.name)
    repairs.merge(table.repairs)
    needed = [n for n in table.columns if n in bundle.encoders.columns]
    outputs = []
    for frame in table.chunks(needed, _ROWS):
        raw = bundle.raw(bundle.encoders.encode(frame, repairs, where=table.name))
        rejected = list(repairs.take_rejected())
        repairs.add(table.name, "rows could not be read and have no probability", len(rejected))
        raw[rejected] = np.nan
        outputs.append(raw)
    return np.concatenate(outputs)


def _scalar(value: Any) -> bool:
    return value is None or isinstance(value, (str, bytes, bool, int, float)) or not hasattr(value, "__len__")


def _is_pandas(data: Any) -> bool:
    return type(data).__module__.partition(".")[0] == "pandas"
