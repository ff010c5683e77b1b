"""A small model of every kind of column, made without training: what counts here is the bundle."""

import numpy as np
import polars as pl
import torch

from limpid.bundle.model import Model
from limpid.core.contracts import Size
from limpid.core.repairs import Repairs
from limpid.core.schema import ColumnSpec
from limpid.core.spec import parse
from limpid.data.facts import column_facts
from limpid.layers.line import LineHead
from limpid.nets import CATALOGUE as NETS
from limpid.nets import DEFAULTS
from limpid.planning.assemble import build
from limpid.planning.columns import Columns, plan_options
from limpid.planning.encoders import Encoders
from limpid.planning.plan import Component
from limpid.tasks import CATALOGUE as TASKS


def rows(count: int = 60) -> pl.DataFrame:
    generator = np.random.default_rng(0)
    return pl.DataFrame(
        {
            "age": [str(a) for a in generator.integers(17, 90, count)],
            "income": [None if n % 7 == 0 else f"{v:.2f}" for n, v in enumerate(generator.lognormal(10, 1, count))],
            "job": generator.choice(["clerk", "nurse", "pilot"], count),
            "since": [f"20{y:02d}-{m:02d}-11" for y, m in generator.integers(1, 12, (count, 2))],
            "note": generator.choice(["likes long walks", "works at night", "plays the violin well"], count),
            "answer": generator.choice(["yes", "no"], count),
            "score": [f"{v:.3f}" for v in generator.normal(size=count)],
        }
    )


SPECS = {
    "age": ColumnSpec(kind="number"),
    "income": ColumnSpec(kind="number"),
    "job": ColumnSpec(kind="category"),
    "since": ColumnSpec(kind="date", options={"format": "iso"}),
    "note": ColumnSpec(kind="text"),
}


def make(
    task: str = "classification",
    net: str = "tabm",
    columns: tuple[str, ...] = tuple(SPECS),
    *,
    specs: dict[str, ColumnSpec] = SPECS,
    settings: dict[str, dict[str, object]] | None = None,
    copies: int = 1,
) -> Model:
    frame = rows()
    facts = {n: column_facts(frame[n]) for n in frame.columns}
    size = Size(rows=frame.height, outputs=2, task=task)
    planned_specs, _ = plan_options(Columns({n: specs[n] for n in columns}, facts, {}), facts, size)
    encoders = Encoders.fit(planned_specs, frame)
    target = frame.select("answer") if task == "classification" else frame.select(pl.col("score").cast(pl.Float64))
    name = target.columns[0]
    kind = TASKS.load(task, where="test")
    spec, _ = kind.plan(
        kind.Spec(), [facts[name]], ["category" if task == "classification" else "number"], frame.height
    )
    fitted = kind.fit(spec, target, None)
    shapes, nets = encoders.shapes(), {}
    for n, (key, form) in enumerate(encoders.inputs.items()):
        chosen = net if n == 0 and form == "fields" else DEFAULTS[form]
        member = NETS.load(chosen, where="test")
        planned, _ = member.plan(parse(member.Spec, (settings or {}).get(chosen, {}), where="net"), shapes[key], size)
        nets[key] = Component(name=chosen, settings=planned.model_dump(mode="json"))
    main, *others = nets
    arrays = encoders.encode(frame, Repairs())
    batch = {n: torch.from_numpy(a) for n, a in arrays.items()}
    networks = []
    for n in range(copies):
        networks.append(build(nets[main], {k: nets[k] for k in others}, shapes, encoders.inputs, fitted, seed=1 + n))
        networks[-1].prepare(batch, fitted.prepare_target(torch.from_numpy(fitted.encode(target))))
        if copies > 1 and isinstance(networks[-1].head, LineHead):
            networks[-1].head.weigh(0.4)
    model = Model(
        fitted,
        {name: ColumnSpec(kind="category" if task == "classification" else "number")},
        encoders,
        networks[0],
        nets[main],
        {n: nets[n] for n in others},
        frame.height,
        "# card\n",
        more=networks[1:],
    )
    outputs = model.raw(arrays)
    fitted.calibrate(outputs, fitted.encode(target), None)
    return model
