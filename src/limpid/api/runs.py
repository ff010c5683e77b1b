"""A finished run as Python users hold it, and the verbs that look at finished runs: `report`, `compare`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limpid.core.errors import RunError
from limpid.core.run import RunFolder

if TYPE_CHECKING:
    from limpid.api.model import Model


class Run:
    """A run folder.

    Attributes:
        path: the folder.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._folder = RunFolder(self.path)
        self._record: dict[str, Any] | None = None

    @property
    def record(self) -> dict[str, Any]:
        """metrics.json whole.

        Raises:
            RunError: the run is not finished.
        """
        if self._record is None:
            if not self._folder.finished:
                raise RunError(
                    "this run is not finished",
                    where=str(self.path),
                    expected="a run folder with metrics.json",
                    fix=f"go on with it: limpid train --out {self.path} --resume"
                    if self._folder.plan.is_file()
                    else "check the path; runs are written under runs/ unless --out says otherwise",
                )
            self._record = self._folder.read(self._folder.metrics)
        return self._record

    @property
    def metrics(self) -> dict[str, dict[str, float | None]]:
        """Part ("valid", "test") -> metric -> value."""
        found: dict[str, dict[str, float | None]] = self.record["metrics"]
        return found

    @property
    def model(self) -> Model:
        """The model, loaded from its bundle."""
        from limpid.api.model import load

        return load(self._folder.model)

    @property
    def report(self) -> Path:
        """report.html."""
        return self._folder.report

    @property
    def plan(self) -> dict[str, Any]:
        """plan.yaml as a dictionary."""
        from limpid.planning.settings import read_recipe

        return read_recipe(self._folder.plan)

    @property
    def training(self) -> dict[str, Any]:
        """training.json: layers and examples as they were while the network learnt; {} where nothing was watched."""
        return self._folder.read(self._folder.training) if self._folder.training.is_file() else {}

    def events(self) -> Iterator[dict[str, Any]]:
        """Everything that happened, oldest first."""
        return self._folder.read_events()

    def summary(self) -> dict[str, Any]:
        """What `limpid train --json` prints."""
        record = self.record
        return {
            "run": str(self.path),
            "task": record["task"],
            "target": record["target"][0] if len(record["target"]) == 1 else record["target"],
            "net": record["net"],
            "metrics": {"valid": record["metrics"].get("valid", {}), "test": record["metrics"].get("test", {})},
            "baselines": {name: b["metrics"] for name, b in record["baselines"].items()},
            "seconds": record["seconds"],
            "epochs": record["epochs"],
            "stopped": record["stopped"],
        }

    def show(self, console: Any = None) -> None:
        """Print the final summary table."""
        from rich.console import Console

        from limpid.reporting.terminal import summary

        out = console or Console()
        out.print(summary(self.record))
        out.print(
            f"run     {self.path}\nmodel   {self._folder.model}\nreport  {self.report}", highlight=False, soft_wrap=True
        )

    def __repr__(self) -> str:
        return f"<limpid run {self.path}>"


def report(run: str | Path | Run) -> Path:
    """Write report.html of a run anew and return its path; of one that is still at work, with what there is so far.

    Raises:
        RunError: there is no run.
    """
    from limpid.reporting.report import write_report

    held = run if isinstance(run, Run) else Run(run)
    folder = RunFolder(held.path)
    if not folder.plan.is_file():
        _ = held.record  # says plainly that there is no run
    return write_report(folder)


@dataclass(frozen=True)
class Comparison:
    """Runs side by side, the best first.

    Args:
        metric: what they are ranked by.
        rows: one mapping a run: run, task, target, net, the metrics, seconds, epochs.
        notes: why the order may not be fair (other data, other split).
    """

    metric: str
    rows: list[dict[str, Any]]
    notes: list[str]

    def as_dict(self) -> dict[str, Any]:
        """What `--json` prints."""
        return {"metric": self.metric, "runs": self.rows, "notes": self.notes}

    def show(self, console: Any = None) -> None:
        """Print the leaderboard."""
        from rich.console import Console

        from limpid.reporting.terminal import Leaderboard

        out = console or Console()
        out.print(Leaderboard(self.rows))
        for note in self.notes:
            out.print(f"note: {note}", highlight=False, markup=False)


def compare(runs: Sequence[str | Path | Run]) -> Comparison:
    """A leaderboard of finished runs.

    Args:
        runs: run folders.

    Raises:
        RunError: one of them is not finished, or they predict different things.
    """
    held = [r if isinstance(r, Run) else Run(r) for r in runs]
    if not held:
        raise RunError(
            "no runs were named", where="RUN...", expected="at least one run folder", fix="limpid compare runs/*"
        )
    first = held[0].record
    for run in held[1:]:
        if (run.record["task"], run.record["target"]) != (first["task"], first["target"]):
            raise RunError(
                "these runs predict different things",
                where=str(run.path),
                expected=f"{first['task']} of {', '.join(first['target'])}, as in {held[0].path}",
                fix="compare runs of one target",
            )
    rows = []
    for run in held:
        record = run.record
        judged = record.get("judged", "test")
        rows.append(
            {
                "run": str(run.path),
                "net": record["net"],
                "part": judged,
                "metric": record["metric"],
                "metrics": record["metrics"].get(judged, {}),
                "interval": record["intervals"].get(judged, {}).get(record["metric"]),
                "greater_is_better": record.get("greater_is_better", True),
                "seconds": record["seconds"],
                "epochs": record["epochs"],
                "rows": record["rows"],
                "seed": record["seed"],
            }
        )
    metric = first["metric"]
    sign = -1.0 if rows[0]["greater_is_better"] else 1.0
    rows.sort(key=lambda r: (r["metrics"].get(metric) is None, sign * (r["metrics"].get(metric) or 0.0)))
    notes = []
    if len({str(r["rows"]) for r in rows}) > 1:
        notes.append("the runs held out different numbers of rows, so their figures are not on the same rows")
    elif len({r["seed"] for r in rows}) > 1:
        notes.append("the runs have different seeds, so their held-out rows differ unless --test was given")
    return Comparison(metric, rows, notes)
