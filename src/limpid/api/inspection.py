"""The verbs `inspect` (look at data) and `plan` (what training would do, and why)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from limpid.core.events import Listener
from limpid.core.files import write_text

_PLAN_ROWS = 20_000
_FEATURE_ROWS = 256


class Inspection:
    """What the data look like.

    Attributes:
        profile: the whole profile as JSON.
    """

    def __init__(self, profile: dict[str, Any]) -> None:
        self.profile = profile

    def as_dict(self) -> dict[str, Any]:
        """What `--json` prints."""
        return self.profile

    def show(self, console: Any = None) -> None:
        """Print it."""
        from rich.console import Console

        from limpid.reporting.terminal import inspection

        (console or Console()).print(inspection(self.profile))

    def html(self, path: str | Path | None = None) -> str:
        """A self-contained page; written to `path` where one is given."""
        from limpid.reporting.inspect_html import inspection_html

        page = inspection_html(self.profile)
        if path is not None:
            write_text(Path(path), page)
        return page


def inspect(
    data: Any,
    *,
    target: str | Sequence[str] | None = None,
    set: Mapping[str, Any] | Sequence[str] | None = None,
) -> Inspection:
    """Look at data: kinds with their evidence, missing values, distributions, associations, leak suspects.

    Args:
        data: anything that `limpid.train` reads.
        target: the column to predict, where it is known.
        set: settings by dotted path, such as {"data.columns.zip": "category"}.

    Raises:
        LimpidError: the data cannot be read, or the target does not exist.
    """
    from limpid.api.request import other_roles
    from limpid.api.shown import show_columns
    from limpid.data.profile import profile
    from limpid.data.sources.layout import arrange
    from limpid.data.table import open_table
    from limpid.planning.columns import decide_columns
    from limpid.planning.laid_out import decide_layout
    from limpid.planning.parts import cells, look
    from limpid.planning.settings import parse_sets
    from limpid.planning.target import resolve_names

    table = open_table(data)
    settings = parse_sets(set)
    layout, because = decide_layout(
        table, (settings.get("data") or {}).get("series"), other_roles(settings, target or table.target)
    )
    table = arrange(table, layout)
    frame = look(table)
    targets = resolve_names(target or table.target, frame.columns)
    columns = decide_columns(
        frame,
        dict((settings.get("data") or {}).get("columns") or {}),
        total_rows=table.rows,
        keep=targets,
        drop=("constant", "key"),
        cells=cells(table),
    )
    found = profile(frame, columns.specs, columns.facts, targets, because=columns.because)
    show_columns(found, table, columns.specs, targets[0] if targets else None)
    found["notes"] = [*([because] if because else []), *found["notes"]]
    found["source"] = table.name
    found["total_rows"] = table.rows
    found["repairs"] = table.repairs.as_list()
    return Inspection(found)


class PlanResult:
    """A plan that was made but not carried out.

    Attributes:
        tree: the plan as a dictionary, as plan.yaml holds it.
    """

    def __init__(self, tree: dict[str, Any]) -> None:
        self.tree = tree

    def as_dict(self) -> dict[str, Any]:
        """What `--json` prints."""
        return self.tree

    def text(self) -> str:
        """The plan as plan.yaml; `limpid train --recipe FILE` replays it."""
        from limpid.planning.plan import dump_yaml

        return dump_yaml(self.tree)

    def show(self, console: Any = None) -> None:
        """Print the plan with its reasons."""
        from rich.console import Console

        from limpid.reporting.terminal import plan_table

        (console or Console()).print(plan_table(self.tree))


def plan(
    data: Any = None,
    *,
    target: str | Sequence[str] | None = None,
    task: str | None = None,
    valid: Any = None,
    test: Any = None,
    net: Any = None,
    budget: str | float | None = None,
    device: str | None = None,
    out: str | Path | None = None,
    seed: int | None = None,
    set: Mapping[str, Any] | Sequence[str] | None = None,
    recipe: str | Path | None = None,
    quiet: bool = False,
    listen: Listener | None = None,
    started: float | None = None,
) -> PlanResult:
    """Decide everything that `limpid.train` would do with the same arguments, and why, without training.

    Args:
        out: file to write the plan to.

    Raises:
        LimpidError: the request or the data are wrong.
    """
    from limpid.api.frozen import with_features
    from limpid.api.prepare import encode, finish_plan, prepare
    from limpid.api.request import read_request

    def silent(_event: Any) -> None:
        return None

    request = read_request(
        data,
        target=target,
        task=task,
        valid=valid,
        test=test,
        net=net,
        budget=budget,
        device=device,
        seed=seed,
        sets=set,
        recipe=recipe,
        folder=None,
        started=started,
    )
    tell = listen or silent
    prepared = prepare(request, tell)
    try:
        encoded = encode(prepared, tell, None, most=_PLAN_ROWS)
        model, _ = prepared.build()
        if model.frozen:
            looked = {"train": encoded["train"].take(slice(0, _FEATURE_ROWS))}
            encoded = with_features(prepared, model, looked, tell, keep=False)
        made, _ = finish_plan(prepared, encoded["train"], tell, model)
    finally:
        prepared.left_out.release()
    if out is not None:
        from limpid.planning.plan import write_plan

        write_plan(made, Path(out))
    return PlanResult(made.as_dict())
