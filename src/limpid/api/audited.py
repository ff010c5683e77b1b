"""The verb `audit`: whom a model treats worse, what it learnt by mistake, and when not to trust it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from limpid.api.audit_rows import Subject, read
from limpid.api.mitigated import mitigate as train_anew
from limpid.api.model import Model, load
from limpid.api.replay import replay
from limpid.api.runs import Run
from limpid.auditing import (
    calibration,
    card,
    fairness,
    leaks,
    mislabelled,
    mitigation,
    overfit,
    proxies,
    replayed,
    robustness,
    series_leaks,
    trades,
    unequal,
    unlike,
)
from limpid.auditing.findings import Finding, Level, gravest_first, worst
from limpid.auditing.judged import Judged
from limpid.core.errors import RequestError
from limpid.core.repairs import Repairs
from limpid.core.run import RunFolder
from limpid.data.groups import SMALLEST, Grouping, groupings
from limpid.data.table import open_table


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Args:
        findings: the gravest first.
        fairness: a table for each grouping and class.
        calibration: probabilities, or intervals, held against what came true.
        mitigation: for each grouping what thresholds of its groups would change.
        robustness: what changed cells do to the figures.
        unlike: what it does on rows unlike its training rows; None where there are too few rows to say.
        suspects: rows whose class may be wrong, the surest first.
        rows: number of rows that the figures are of.
        part: which rows they are: "test", "valid", or "" for all rows of DATA.
        repairs: what had to be mended in the data.
        replay: the first steps of the run once more; None for a bundle.
        trained: for each column of groups, trainings that treat them alike; empty unless they were asked for.
    """

    findings: list[Finding]
    fairness: list[fairness.Fairness]
    calibration: calibration.Calibration
    mitigation: list[mitigation.Trade]
    robustness: list[robustness.Change]
    unlike: unlike.Unlike | None
    suspects: list[mislabelled.Suspect]
    rows: int
    part: str
    repairs: Repairs = field(repr=False)
    replay: replayed.Replay | None = None
    trained: list[trades.Trades] = field(default_factory=list)

    @property
    def worst(self) -> Level:
        """The gravest level among the findings."""
        return worst(self.findings)

    def as_dict(self) -> dict[str, Any]:
        """What `--json` prints."""
        return {
            "worst": self.worst,
            "rows": self.rows,
            "part": self.part,
            "findings": [f.as_dict() for f in self.findings],
            "fairness": [t.as_dict() for t in self.fairness],
            "calibration": self.calibration.as_dict(),
            "mitigation": [t.as_dict() for t in self.mitigation],
            "robustness": [c.as_dict() for c in self.robustness],
            "unlike": None if self.unlike is None else self.unlike.as_dict(),
            "suspects": [s.as_dict() for s in self.suspects],
            "replay": self.replay.as_dict() if self.replay else None,
            "trained": [t.as_dict() for t in self.trained],
            "repairs": self.repairs.as_list(),
        }

    def show(self, console: Any = None) -> None:
        """Print the findings and the tables of groups."""
        from rich.console import Console

        from limpid.api.audit_shown import shown

        (console or Console()).print(shown(self))


def audit(
    run: str | Path | Run | Model, data: Any, *, group: Sequence[str] = (), mitigate: bool = False, net: Any = None
) -> Audit:
    """Look for what is wrong with a model.

    Where `run` is a run folder, its model card and its report get a section about the audit; all of it stands in
    audit.json.

    Args:
        run: a run folder, a bundle, or a loaded model. A run folder says which rows the model was fitted to; of the
            training file only rows that it was not fitted to are judged.
        data: anything that `limpid.train` reads, with the target column.
        group: columns by whose values people or things are compared, also such as the model does not read.
        mitigate: whether the run is trained anew in ways that treat groups alike, to see what they buy and cost; takes
            as long as some five trainings.
        net: the module, for a model that was trained with one of the user's own.

    Raises:
        LimpidError: the run, the data or a group column are wrong.

    Example:
        >>> import limpid
        >>> found = limpid.audit("runs/income", "adult.csv", group=["sex"])  # doctest: +SKIP
        >>> found.worst  # doctest: +SKIP
        'warning'
    """
    place = run.path if isinstance(run, Run) else run
    model = place if isinstance(place, Model) else load(place, net=net)
    folder = None if isinstance(place, Model) or not (Path(place) / "plan.yaml").is_file() else RunFolder(Path(place))
    columns = list(dict.fromkeys([group] if isinstance(group, str) else group))
    if mitigate and (folder is None or not columns):
        raise RequestError(
            "there is nothing to train anew" if folder is None else "no groups were named that are to be treated alike",
            where="--mitigate",
            expected="a run folder, and --group with a column",
            fix="name the run folder, not the bundle" if folder is None else "add --group COL, or leave --mitigate out",
        )
    repairs = Repairs()
    subject = read(model.bundle, open_table(data), columns, folder, repairs)
    again = None if folder is None else replay(folder, model.bundle, data, net)
    anew = (lambda held, g: train_anew(folder, data, held, g)) if mitigate and folder is not None else None
    found = _audit(subject, columns, repairs, again, anew)
    if folder is not None:
        folder.write(folder.audit, found.as_dict())
        card.write(folder.model, found.findings, found.rows, found.part, columns)
        if folder.finished:
            from limpid.reporting.report import write_report

            write_report(folder)
    return found


def _audit(
    subject: Subject,
    columns: Sequence[str],
    repairs: Repairs,
    again: replayed.Replay | None,
    anew: Callable[[Judged, Grouping], trades.Trades] | None,
) -> Audit:
    held, everything = subject.held, subject.everything
    findings = subject.notes()
    measured = calibration.measure(held)
    findings += calibration.findings_of(measured, len(held))
    tables: list[fairness.Fairness] = []
    cuts: list[mitigation.Trade] = []
    trained: list[trades.Trades] = []
    if columns:
        tables, cuts, chosen, of_groups = _unequal(subject, columns)
        findings += of_groups
        if anew is not None:
            trained = [anew(held, grouping) for grouping in chosen]
            findings += [f for trade in trained for f in trades.findings_of(trade)]
    if subject.cells is not None:
        part = None if subject.why else everything.part
        target = list(held.bundle.targets)
        found = leaks.find(subject.cells, subject.specs, target, part, pictures=subject.pictures)
        findings += leaks.findings_of(found, list(held.bundle.encoders.columns), subject.why)
    if subject.series is not None:
        findings += series_leaks.findings_of(*subject.series)
    changes = robustness.measure(held) if len(held) >= SMALLEST else []
    findings += robustness.findings_of(changes)
    apart = unlike.measure(everything, _place(subject), own=bool(subject.part))
    findings += unlike.findings_of(apart, len(held))
    findings += overfit.findings_of(everything, held, known=not subject.why)
    of_labels, suspects = mislabelled.findings_of(everything)
    findings += of_labels
    findings += replayed.findings_of(again) if again else []
    return Audit(
        gravest_first(findings),
        tables,
        measured,
        cuts,
        changes,
        apart,
        suspects,
        len(held),
        subject.part,
        repairs,
        again,
        trained,
    )


def _unequal(
    subject: Subject, columns: Sequence[str]
) -> tuple[list[fairness.Fairness], list[mitigation.Trade], list[Grouping], list[Finding]]:
    """Tables, trades, the groupings by single columns, and findings of groups, which are cut alike in all rows."""
    everything, held = subject.everything, subject.held
    specs = {n: s for n, s in subject.specs.items() if n in columns}
    every = groupings(everything.frame, columns, specs, "DATA")
    mine = _place(subject)
    chosen = [g.take(mine) for g in every]
    tables: list[fairness.Fairness] = []
    cuts: list[mitigation.Trade] = []
    findings: list[Finding] = []
    valid, seen = (np.flatnonzero(everything.part == name) for name in ("valid", "train"))
    for whole, grouping in zip(every, chosen, strict=True):
        of_group = fairness.compare(held, grouping)
        tables += of_group
        findings += unequal.findings_of(of_group)
        by, beside = (
            (everything.take(at), whole.take(at)) if subject.part == "test" and len(valid) and len(at) else None
            for at in (valid, seen)
        )
        trade = mitigation.thresholds(held, grouping, by, beside)
        if trade is not None:
            cuts.append(trade)
            findings.append(mitigation.finding_of(trade))
    if held.stretches is None:  # windows tell their series, and so its group
        findings += proxies.findings_of(held, chosen[: len(columns)])
    return tables, cuts, chosen[: len(columns)], findings


def _place(subject: Subject) -> np.ndarray:
    """Positions of the judged rows among all rows."""
    if subject.part:
        return np.flatnonzero(subject.everything.part == subject.part)
    return np.arange(len(subject.held))  # rows of DATA stand first
