"""All fitted encoders of a model: from a frame of raw columns to the named arrays that the nets read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self, cast

import numpy as np
import polars as pl

from limpid.core.contracts import Modality
from limpid.core.errors import BundleError, DataError, LimpidError
from limpid.core.forms import FIELDS, FieldsShape, Shape
from limpid.core.names import nearest
from limpid.core.repairs import Repairs
from limpid.core.schema import ColumnSpec
from limpid.core.spec import parse
from limpid.data.cleaning import clean
from limpid.data.vocabulary import OTHER
from limpid.modalities import CATALOGUE

Arrays = dict[str, np.ndarray]


class Encoders:
    """The encoders of the columns that a model reads, in a fixed order.

    Args:
        columns: what each column is; only used ones.
        fitted: column -> fitted modality.
    """

    def __init__(self, columns: Mapping[str, ColumnSpec], fitted: Mapping[str, Modality]) -> None:
        self.columns = dict(columns)
        self._fitted = dict(fitted)
        self._table = [name for name, encoder in self._fitted.items() if encoder.form == FIELDS]
        others = [name for name, encoder in self._fitted.items() if encoder.form != FIELDS]
        self._leading = [name for name in others if getattr(self._fitted[name], "leads", False)]
        self._others = [*self._leading, *(name for name in others if name not in self._leading)]

    @classmethod
    def fit(
        cls,
        columns: Mapping[str, ColumnSpec],
        frame: pl.DataFrame,
        files: Mapping[str, pl.Series] | None = None,
        taken: Mapping[str, Modality] | None = None,
        given: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> Self:
        """Learn from training rows.

        Args:
            columns: what each column is; those with `use: false` and those that no net reads are passed over.
            frame: training rows, raw.
            files: of columns that hold whole files, some training cells; `frame` only names them.
            taken: encoders of a model that the run starts from; they come first, in that model's order.
            given: column -> what its net brings for the fitting.
        """
        ready = taken or {}
        used: dict[str, ColumnSpec] = {name: columns[name] for name in ready}
        fitted: dict[str, Modality] = dict(ready)
        for name, spec in columns.items():
            if not spec.use or name in ready:
                continue
            modality = CATALOGUE.load(spec.kind, where=f"data.columns.{name}.kind")
            if modality.form is None:
                continue
            options = parse(modality.Spec, spec.options, where=f"data.columns.{name}.options")
            used[name] = spec
            cells = clean((files or {}).get(name, frame[name]), spec)
            fitted[name] = modality.fit(options, cells, **(given or {}).get(name, {}))
        return cls(used, fitted)

    @property
    def inputs(self) -> dict[str, str]:
        """Input name -> form, the main input first: columns that lead (pictures), "fields" for the table's columns
        together, then each other column by its own name."""
        forms = {input_of(name): str(self._fitted[name].form) for name in self._others}
        if not self._table:
            return forms
        leading = {input_of(name): forms[input_of(name)] for name in self._leading}
        return {**leading, FIELDS: FIELDS, **forms}

    @property
    def default_nets(self) -> dict[str, str]:
        """Input name -> the net that its kind of column asks for, where it does."""
        nets = {input_of(name): getattr(self._fitted[name], "net", None) for name in self._others}
        return {name: net for name, net in nets.items() if net is not None}

    @property
    def files(self) -> list[str]:
        """Columns whose cells are whole files."""
        return [n for n, m in self._fitted.items() if getattr(m, "leads", False) and getattr(m, "of_files", True)]

    def shapes(self) -> dict[str, Shape]:
        """Input name -> shape."""
        shapes: dict[str, Shape] = {}
        if self._table:
            parts = [self._fitted[name].shape() for name in self._table]
            assert all(isinstance(p, FieldsShape) for p in parts)
            fields = [p for p in parts if isinstance(p, FieldsShape)]
            shapes[FIELDS] = FieldsShape(
                numbers=tuple(n for p in fields for n in p.numbers),
                can_miss=tuple(m for p in fields for m in p.can_miss),
                categories=tuple(c for p in fields for c in p.categories),
                cardinalities=tuple(c for p in fields for c in p.cardinalities),
            )
        for name in self._others:
            shapes[input_of(name)] = self._fitted[name].shape()
        return {name: shapes[name] for name in self.inputs}

    def encode(self, frame: pl.DataFrame, repairs: Repairs, *, where: str = "DATA") -> Arrays:
        """Encode raw rows; extra columns are ignored, the order of columns does not matter.

        Args:
            frame: raw rows with at least the model's columns.
            repairs: tally of what had to be mended.
            where: name of the data, for messages.

        Returns:
            "INPUT.PART" -> array of N rows. Positions of rows with a cell that cannot be read are in
            `repairs.rejected`; their arrays hold something of the right shape.

        Raises:
            DataError: a column that the model needs is missing, or holds something else altogether.
        """
        self.check_columns(frame.columns, where)
        rows = frame.height
        encoded = {
            name: encoder.encode(clean(frame[name], self.columns[name]), repairs)
            for name, encoder in self._fitted.items()
        }
        arrays: Arrays = {}
        if self._table:
            for part, kind in (("numbers", np.float32), ("missing", np.float32), ("categories", np.int64)):
                pieces = [encoded[name][part] for name in self._table if part in encoded[name]]
                joined = np.concatenate(pieces, axis=1) if pieces else np.zeros((rows, 0))
                arrays[f"{FIELDS}.{part}"] = np.ascontiguousarray(joined, dtype=_storage(part, kind))
        for name in self._others:
            arrays.update({f"{input_of(name)}.{part}": array for part, array in encoded[name].items()})
        if not self._table:
            _reject_empty(arrays, [input_of(name) for name in self._others], repairs)
        return arrays

    def count_unknown(self, arrays: Mapping[str, np.ndarray], frame: pl.DataFrame, repairs: Repairs) -> None:
        """Count cells of categories that no training row had, or too few: the model takes them all as one value.

        Args:
            arrays: what `encode` gave for the frame.
            frame: the raw rows.
            repairs: tally to add to.
        """
        shape = self.shapes().get(FIELDS)
        if not isinstance(shape, FieldsShape):
            return
        other = arrays[f"{FIELDS}.categories"] == OTHER
        for place, name in enumerate(shape.categories):
            if name in frame.columns and (rows := np.flatnonzero(other[:, place])).size:
                what = "hold a value that training rows had never or too seldom, taken as 'other'"
                repairs.add(name, what, len(rows), frame[name][int(rows[0])])

    def check_columns(self, columns: Sequence[str], where: str) -> None:
        """Refuse data that lack columns of the model.

        Raises:
            DataError: naming them, and columns of the data with a similar name.
        """
        absent = [name for name in self._fitted if name not in columns]
        if not absent:
            return
        hints = [f"{near!r} looks like {name!r}" for name in absent if (near := nearest(name, columns))]
        raise DataError(
            f"{'columns are' if len(absent) > 1 else 'a column is'} missing: {', '.join(map(repr, absent[:10]))}"
            + (f" and {len(absent) - 10} more" if len(absent) > 10 else ""),
            where=f"columns of {where}",
            expected=f"the {len(self._fitted)} columns that the model was trained with",
            fix="add or rename the columns" + (f" ({'; '.join(hints[:3])})" if hints else ""),
        )

    def modality(self, name: str) -> Modality:
        """The fitted encoder of one column."""
        return self._fitted[name]

    def places(self, name: str) -> dict[str, list[int]]:
        """Where the features of a table's column stand: "fields.PART" -> their places in it."""
        own, whole = self._fitted[name].shape(), self.shapes()[FIELDS]
        assert isinstance(own, FieldsShape) and isinstance(whole, FieldsShape)
        numbers = [whole.numbers.index(feature) for feature in own.numbers]
        categories = [whole.categories.index(feature) for feature in own.categories]
        return {f"{FIELDS}.numbers": numbers, f"{FIELDS}.missing": numbers, f"{FIELDS}.categories": categories}

    def value_of(self, feature: str, code: int) -> str:
        """The readable value behind a code of a categorical feature ("Private" for workclass 2)."""
        for name in self._table:
            shape = self._fitted[name].shape()
            if isinstance(shape, FieldsShape) and feature in shape.categories:
                # Only modalities that emit codes can say what they stand for, so it is not in the contract of all.
                return str(cast(Any, self._fitted[name]).value_of(code))
        return str(code)

    def state(self) -> dict[str, Any]:
        """Everything that was learnt, as JSON."""
        return {
            name: {"column": self.columns[name].model_dump(mode="json"), "state": encoder.state()}
            for name, encoder in self._fitted.items()
        }

    @classmethod
    def from_state(cls, state: Any) -> Self:
        """The inverse of `state`.

        Raises:
            BundleError: the state is damaged or hostile.
        """
        if not isinstance(state, dict) or len(state) > 100_000:
            raise _damaged("the list of encoders is not a mapping")
        columns: dict[str, ColumnSpec] = {}
        fitted: dict[str, Modality] = {}
        for name, entry in state.items():
            if not isinstance(entry, dict) or set(entry) != {"column", "state"}:
                raise _damaged(f"the encoder of {name!r} lacks its parts")
            try:
                spec = parse(ColumnSpec, entry["column"] if isinstance(entry["column"], dict) else {}, where=name)
                modality = CATALOGUE.load(spec.kind, where=name)
                options = parse(modality.Spec, spec.options, where=name)
            except BundleError:
                raise
            except LimpidError as error:
                raise _damaged(f"the encoder of {name!r}: {error.what}") from error
            if modality.form is None or not spec.use:
                raise _damaged(f"the encoder of {name!r} is of a column that no net reads")
            if not isinstance(entry["state"], dict) or entry["state"].get("name") != name:
                raise _damaged(f"the encoder of {name!r} is that of another column")
            columns[name] = spec
            fitted[name] = modality.from_state(options, entry["state"])
        return cls(columns, fitted)


def _reject_empty(arrays: Arrays, inputs: Sequence[str], repairs: Repairs) -> None:
    """Reject rows of which no file is there, where files are all that the model reads."""
    if inputs and all(f"{name}.present" in arrays for name in inputs):
        there = np.any([arrays[f"{name}.present"] > 0 for name in inputs], axis=0)
        for position in np.flatnonzero(~there).tolist():
            repairs.reject(position, f"{', '.join(inputs)}: there is nothing to read")


def input_of(column: str) -> str:
    """The name of a column's own input: the column's, unless that is the name of the table's."""
    return f"{column} (column)" if column == FIELDS else column


def _storage(part: str, kind: type) -> type:
    # Flags are 0 or 1 and codes are small: stored narrow, widened when a batch is gathered.
    return {"missing": np.uint8, "categories": np.int32}.get(part, kind)


def _damaged(what: str) -> BundleError:
    return BundleError(
        what,
        where="encoders.json",
        expected="encoders as limpid writes them",
        fix="restore the bundle from a copy or train again",
    )
