"""What pretrained nets need of their columns: options, limits, and what an encoder is fitted with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from limpid.core.contracts import Needs, Reasons
from limpid.core.schema import ColumnSpec
from limpid.core.spec import AUTO
from limpid.modalities import CATALOGUE as MODALITIES
from limpid.nets import CATALOGUE as NETS

Given = dict[str, Needs]
"""Column -> what its net needs of it."""


def net_asked(nets: Any, column: str, specs: Mapping[str, ColumnSpec]) -> dict[str, Any]:
    """What the user asked of the net of a column with an input of its own: its name and settings, or nothing.

    Args:
        nets: the settings under `net`: a name, or a mapping with the main net's name and settings and those of other
            columns.
        column: in question.
        specs: of all columns; the main net reads this one where no other is read, or where it leads.
    """
    settings = {"name": nets} if isinstance(nets, str) else dict(nets) if isinstance(nets, Mapping) else {}
    own = settings.get(column)
    if isinstance(own, str):
        return {"name": own}
    if isinstance(own, Mapping) and isinstance(own.get("name"), str):
        return dict(own)
    modalities = {n: MODALITIES.load(s.kind, where="data.columns") for n, s in specs.items() if s.use}
    others = [n for n, m in modalities.items() if m.form is not None and n != column]
    leads = column in modalities and getattr(modalities[column], "leads", False)
    alone = not others or (leads and not any(getattr(modalities[n], "leads", False) for n in others))
    return settings if isinstance(settings.get("name"), str) and alone else {}


def needs_of(nets: Any, specs: Mapping[str, ColumnSpec]) -> Given:
    """What the nets that the user named need of the columns that they read.

    Args:
        nets: what the user asked of nets, as it stands in the settings.
        specs: of all columns.

    Raises:
        LimpidError: what a net is made from is not there or damaged.
    """
    found: Given = {}
    for column, spec in specs.items():
        asked = net_asked(nets, column, specs) if spec.use else {}
        name = asked.get("name")
        if name is None or name not in NETS:
            continue  # an unknown name is refused where nets are planned
        needs = getattr(NETS.load(str(name), where="net"), "needs", None)
        own = None if needs is None else needs(asked).get(spec.kind)
        if own is not None:
            found[column] = own
    return found


def with_needs(spec: ColumnSpec, needs: Needs) -> tuple[ColumnSpec, Reasons]:
    """A column with the options that its net needs, where the user does not say otherwise."""
    fields = MODALITIES.load(spec.kind, where="data.columns").Spec.model_fields
    open_ = {k: v for k, v in needs.options.items() if k in fields and spec.options.get(k, AUTO) == AUTO}
    because = dict.fromkeys(open_, "what the net's weights were trained with")
    return spec.with_(options={**spec.options, **open_}), because


def within_limits(spec: ColumnSpec, asked: ColumnSpec, needs: Needs) -> tuple[ColumnSpec, Reasons]:
    """A planned column with its options within the limits of its net.

    Args:
        spec: as planned.
        asked: as it was before; what the user fixed stays.
        needs: of the net.
    """
    over = {
        k: most
        for k, most in needs.most.items()
        if asked.options.get(k, AUTO) == AUTO and isinstance(spec.options.get(k), int) and spec.options[k] > most
    }
    reasons = {k: f"the most that the net reads; the data alone would ask for {spec.options[k]:,}" for k in over}
    return spec.with_(options={**spec.options, **over}), reasons
