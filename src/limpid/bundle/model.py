"""A trained model in memory: from raw rows to answers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
import torch
from torch import nn

from limpid.bundle import format as layout
from limpid.bundle.bounded import Bounded, TooLarge
from limpid.core.contracts import Prediction, Task
from limpid.core.errors import LimpidError, RequestError
from limpid.core.files import dump_json
from limpid.core.forms import SHAPES, Shape
from limpid.core.repairs import Repairs
from limpid.core.schema import ColumnSpec
from limpid.core.spec import Spec, parse
from limpid.data.sources.layout import SeriesLayout
from limpid.layers.heap import kept_memory
from limpid.modalities import CATALOGUE as MODALITIES
from limpid.planning.assemble import Assembled, build, rows_at_once
from limpid.planning.encoders import Encoders
from limpid.planning.plan import Component
from limpid.tasks import CATALOGUE as TASKS

_BATCH, _DEVICE_BATCH = 1024, 8192  # on a processor what stays in its caches, elsewhere what keeps it busy
_MISFITS = (
    LookupError, TypeError, ValueError, AttributeError, ArithmeticError, AssertionError, RuntimeError, MemoryError,
)  # fmt: skip
_DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
_MOST_ROWS = 2**53
_MOST_INPUTS = 1_000
_SPEC_KEYS = {"task", "target", "net", "nets", "forms", "shapes", "rows"}
_LAYOUT_KEY = "series"  # only where series were put together from columns or rows
_COPIES_KEY = "networks"  # only where there are several
_MOST_COPIES = 50


@dataclass
class Model:
    """What a bundle holds.

    Args:
        task: fitted task, calibrated.
        targets: the target columns, and how each is read.
        encoders: fitted encoders of the input columns.
        network: the assembled network, in eval mode.
        net, nets: which nets it is made of.
        rows: number of training rows.
        card: the model card, Markdown.
        series: how series stand in the tables that it reads, where they are not in one column.
        more: further networks of the same kind, fitted on other rows; the mean of all answers.
    """

    task: Task
    targets: dict[str, ColumnSpec]
    encoders: Encoders
    network: Assembled
    net: Component
    nets: dict[str, Component]
    rows: int
    card: str = ""
    series: SeriesLayout | None = None
    more: Sequence[Assembled] = ()

    def __post_init__(self) -> None:
        for network in (self.network, *self.more):
            # Which attention kernel torch takes depends on whether a gradient could be asked for, and so do the last
            # bits.
            network.eval().requires_grad_(False)

    @property
    def target(self) -> tuple[str, ...]:
        """Names of the target columns."""
        return tuple(self.targets)

    # -- prediction ---------------------------------------------------------------------------------------------

    def raw(self, arrays: Mapping[str, np.ndarray], *, batch: int | None = None) -> np.ndarray:
        """(N,K) or (N,M,K) raw outputs of encoded rows, float32; M are the members of all networks.

        Args:
            arrays: "INPUT.PART" -> array of N rows, resident or memory-mapped.
            batch: rows at a time; by default what suits the device.
        """
        if not self.more:
            return forward(self.network, arrays, batch=batch)
        each = [forward(network, arrays, batch=batch) for network in (self.network, *self.more)]
        return np.concatenate([outputs.reshape(len(outputs), -1, outputs.shape[-1]) for outputs in each], axis=1)

    def predict_frame(
        self, frame: pl.DataFrame, repairs: Repairs, *, where: str = "DATA"
    ) -> tuple[Prediction, pl.DataFrame]:
        """The answers for raw rows, as arrays and as the columns of `limpid predict`.

        Raises:
            DataError: the rows lack a column that the model needs.
        """
        arrays = self.encoders.encode(frame, repairs, where=where)
        self.encoders.count_unknown(arrays, frame, repairs)
        prediction = self.task.predict(self.raw(arrays))
        return prediction, self.task.decode(prediction)

    # -- saving and loading -------------------------------------------------------------------------------------

    def save(self, folder: Path, *, version: str) -> None:
        """Write the bundle.

        Args:
            folder: the bundle's folder; an older bundle in it is replaced.
            version: of limpid.

        Raises:
            RunError: it cannot be written.
        """
        from safetensors.torch import save

        spec = {
            "task": {"name": self.task.name, **self.task.spec.model_dump(mode="json")},
            "target": {name: column.model_dump(mode="json") for name, column in self.targets.items()},
            "net": self.net.as_dict(),
            "nets": {name: net.as_dict() for name, net in self.nets.items()},
            "forms": self.encoders.inputs,
            "shapes": {name: shape.model_dump(mode="json") for name, shape in self.encoders.shapes().items()},
            "rows": self.rows,
        }
        if self.series is not None:
            spec[_LAYOUT_KEY] = self.series.model_dump(mode="json")
        if self.more:
            spec[_COPIES_KEY] = 1 + len(self.more)
        encoders = {"columns": self.encoders.state(), "task": self.task.state()}
        tensors = {
            prefix + name: t.detach().cpu().contiguous()
            for prefix, network in zip(_prefixes(1 + len(self.more)), (self.network, *self.more), strict=True)
            for name, t in network.state_dict().items()
        }
        broken = [name for name, t in tensors.items() if t.is_floating_point() and not bool(torch.isfinite(t).all())]
        assert not broken, f"weights that are not finite reached the bundle: {broken}"
        layout.write(
            folder,
            layout.pack(
                {
                    "spec.json": dump_json(spec).encode(),
                    "encoders.json": dump_json(encoders, indent=None).encode(),
                    "weights.safetensors": save(tensors),
                    "card.md": self.card.encode(),
                },
                version,
            ),
        )

    @classmethod
    def load(cls, folder: Path, *, net: Any = None) -> Self:
        """Read a bundle of unknown origin; nothing in it can run.

        Args:
            folder: the bundle's folder.
            net: the user's own module, for a model that was trained with one.

        Raises:
            BundleError: it is damaged, hostile or of another version.
            RequestError: it needs the user's own module.
        """
        _, members = layout.read(folder)
        where = str(folder)
        spec = layout.load_member(members["spec.json"], f"{where}/spec.json")
        fitted = layout.load_member(members["encoders.json"], f"{where}/encoders.json")
        if not isinstance(spec, dict) or not _SPEC_KEYS <= spec.keys() <= _SPEC_KEYS | {_LAYOUT_KEY, _COPIES_KEY}:
            raise layout.refuse("spec.json has other keys than it should", f"{where}/spec.json")
        if not isinstance(fitted, dict) or set(fitted) != {"columns", "task"}:
            raise layout.refuse("encoders.json has other keys than it should", f"{where}/encoders.json")
        module: RequestError | None = None
        try:
            task = _load_task(spec["task"], fitted["task"])
            targets = {n: _target(n, c) for n, c in _mapping(spec["target"]).items()}
            rows = _count(spec["rows"])
            copies = _copies(spec.get(_COPIES_KEY, 1))
            series = _layout(spec[_LAYOUT_KEY]) if _LAYOUT_KEY in spec else None
            encoders = Encoders.from_state(fitted["columns"])
            chosen, others = _component(spec["net"]), {n: _component(c) for n, c in _mapping(spec["nets"]).items()}
            shapes = {n: _shape(s) for n, s in _mapping(spec["shapes"]).items()}
            if len(shapes) > _MOST_INPUTS:
                raise layout.refuse(f"{len(shapes):,} inputs are too many", where)
            if shapes != encoders.shapes() or spec["forms"] != encoders.inputs or not targets:
                raise layout.refuse("spec.json and encoders.json disagree", where)
            if list(shapes) != list(encoders.inputs) or set(others) != set(list(shapes)[1:]):
                raise layout.refuse("spec.json names other nets than there are inputs", where)
            if chosen.name == "external" and net is None:
                module = _module_needed(where)
                raise module
            networks = _rebuild(
                chosen, others, shapes, encoders.inputs, task, members["weights.safetensors"], net, where, copies
            )
        except LimpidError as error:
            if error is module or (isinstance(error, RequestError) and net is not None and error.where == "net"):
                raise  # the user's own module is missing, or does not fit
            raise layout.refuse(error.what, where) from error
        except _MISFITS as error:
            raise layout.refuse(f"its parts do not fit together ({type(error).__name__})", where) from error
        card = members["card.md"].decode(errors="replace")
        return cls(task, targets, encoders, networks[0], chosen, others, rows, card, series, networks[1:])


def forward(
    network: nn.Module,
    arrays: Mapping[str, np.ndarray],
    *,
    batch: int | None = None,
    precision: str = "fp32",
    of: Callable[[Mapping[str, torch.Tensor]], torch.Tensor] | None = None,
) -> np.ndarray:
    """Raw outputs of a network in eval mode for encoded rows, float32, batch by batch, where its weights are.

    Args:
        network: the assembled network.
        arrays: encoded rows.
        batch: rows at once, at most; by default what suits the device.
        precision: fp32, or bf16 products.
        of: what is asked of each batch, in place of the network's outputs.
    """
    ask = network if of is None else of
    rows = len(next(iter(arrays.values())))
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    batch = rows_at_once(network, batch or (_BATCH if device.type == "cpu" else _DEVICE_BATCH))
    pieces: list[np.ndarray] = []
    with (
        torch.inference_mode(),
        torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"),
        _exact(device),
        kept_memory() if rows > batch else nullcontext(),
    ):
        for start in range(0, max(rows, 1), batch):
            # Copied, since torch refuses views of read-only memory-mapped arrays.
            part = {
                name: torch.from_numpy(np.array(array[start : start + batch])).to(device)
                for name, array in arrays.items()
            }
            pieces.append(ask(part).float().cpu().numpy())
    return np.concatenate(pieces) if len(pieces) > 1 else pieces[0]


def _exact(device: torch.device) -> AbstractContextManager[object]:
    """Convolutions of a GPU in full single precision, so that a processor answers alike."""
    return torch.backends.cudnn.flags(enabled=True, allow_tf32=False) if device.type == "cuda" else nullcontext()


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or len(value) > 10_000:
        raise layout.refuse("a part that should be a mapping is none", "spec.json")
    return value


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= _MOST_ROWS:
        raise layout.refuse("the number of training rows is none", "spec.json")
    return value


def _copies(value: Any) -> int:
    if type(value) is not int or not 1 <= value <= _MOST_COPIES:
        raise layout.refuse("the number of its networks is none", "spec.json")
    return value


def _layout(value: Any) -> SeriesLayout:
    found = parse(SeriesLayout, _mapping(value), where="series")
    if not {"wide": found.columns, "long": found.values}.get(found.layout):
        raise layout.refuse("the layout of its series names no columns", "spec.json")
    return found


def _target(name: str, value: Any) -> ColumnSpec:
    column = parse(ColumnSpec, _mapping(value), where="target")
    if column.kind not in MODALITIES:
        raise layout.refuse(f"the target {name!r} is of a kind that does not exist", "spec.json")
    return column


def _module_needed(where: str) -> RequestError:
    return RequestError(
        "this model was trained with a module of the user's own, which a bundle does not hold",
        where=where,
        expected="the module, from Python",
        fix="limpid.load(path, net=module)",
    )


def _component(value: Any) -> Component:
    flat = _mapping(value)
    return Component(name=str(flat["name"]), settings={k: v for k, v in flat.items() if k != "name"})


def _shape(value: Any) -> Shape:
    flat = _mapping(value)
    kind = SHAPES.get(str(flat.get("form")))
    if kind is None:
        raise layout.refuse("spec.json names a form that does not exist", "spec.json")
    return parse(kind, flat, where="shapes")


def _load_task(value: Any, state: Any) -> Task:
    flat = _mapping(value)
    kind = TASKS.load(str(flat["name"]), where="task")
    spec: Spec = parse(kind.Spec, {k: v for k, v in flat.items() if k != "name"}, where="task")
    task: Task = kind.from_state(spec, _mapping(state))
    return task


def _rebuild(
    net: Component,
    nets: Mapping[str, Component],
    shapes: Mapping[str, Shape],
    forms: Mapping[str, str],
    task: Task,
    weights: bytes,
    module: Any,
    where: str,
    copies: int,
) -> list[Assembled]:
    """Build the networks and compare every name, shape and type with the weights before these are put in.

    A spec that asks for a gigantic network is stopped before torch makes room for it.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    file = f"{where}/weights.safetensors"
    table = layout.tensor_table(weights, file)

    def make() -> list[Assembled]:
        return [build(net, nets, shapes, forms, task, seed=0, module=module) for _ in range(copies)]

    if net.name == "external":
        networks = make()
    else:
        try:
            with Bounded(sum(math.prod(shape) for _, shape in table.values())):
                networks = make()
        except TooLarge as error:
            raise layout.refuse("the weights are those of another, smaller network", file) from error
    prefixes = _prefixes(copies)
    own = {
        prefix + name: value
        for prefix, network in zip(prefixes, networks, strict=True)
        for name, value in network.state_dict().items()
    }
    _check_table(own, table, file)
    try:
        tensors = load(weights)
    except (SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise layout.refuse("the weights cannot be read", file) from error
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise layout.refuse(f"the weight {name!r} is not finite", file)
    for name, value in own.items():
        value.copy_(tensors[name])
    return networks


def _prefixes(copies: int) -> list[str]:
    """What stands before the names of each network's weights; nothing before those of the first."""
    return ["", *(f"{_COPIES_KEY}.{n}." for n in range(1, copies))]


def _check_table(own: Mapping[str, torch.Tensor], table: layout.TensorTable, file: str) -> None:
    if set(own) != set(table):
        raise layout.refuse("the weights are those of another network", file)
    for name, (dtype, shape) in table.items():
        if shape != tuple(own[name].shape) or _DTYPES.get(dtype) != own[name].dtype:
            raise layout.refuse(f"the weight {name!r} has another shape or type", file)
