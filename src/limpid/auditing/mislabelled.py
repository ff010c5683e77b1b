"""Which rows may carry a wrong class? Confident learning (Northcutt et al. 2021, "Confident Learning", JAIR 70).

A class's own rows say how sure the model usually is of it. A row is suspected where the model is at least that sure of
another class than the one given; the surest stand first. Training rows are asked too: with early stopping a network
mostly has not learnt single wrong labels by heart, but it may have, and then they are missed.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from limpid.auditing.findings import Finding
from limpid.auditing.judged import Judged

Array = npt.NDArray[Any]

MOST = 200
_SHOWN = 5
_LOOK = 0.02  # share of suspected rows from which a person should look
_FEWEST = 50


@dataclass(frozen=True)
class Suspect:
    """A row whose class may be wrong.

    Args:
        row: source row number from 0.
        part: train, valid, test, or "".
        given: the class that stands there.
        likely: the class that the model is sure of.
        probability: of that class.
        given_probability: of the class that stands there.
    """

    row: int
    part: str
    given: str
    likely: str
    probability: float
    given_probability: float

    def as_dict(self) -> dict[str, Any]:
        """The suspect as JSON."""
        return asdict(self)


def suspects(probability: Array, given: Array) -> Array:
    """Positions of rows whose class may be wrong, the surest first.

    Args:
        probability: (N,K) of the classes.
        given: (N,) classes that stand there.

    A class's threshold is the mean probability that its own rows have of it; a row counts for another class where it
    reaches that class's threshold and is more probable there than where it is.

    Example:
        >>> suspects(np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.95, 0.05]]), np.array([0, 0, 1, 1])).tolist()
        [3]
    """
    rows = np.arange(len(given))
    own = probability[rows, given]
    threshold = np.array(
        [own[given == k].mean() if (given == k).any() else np.inf for k in range(probability.shape[1])]
    )
    reached = np.where(probability >= threshold, probability, -1.0)
    best = reached.argmax(axis=1)
    margin = reached[rows, best] - own
    found = np.flatnonzero((best != given) & (margin > 0))
    return found[np.argsort(-margin[found], kind="stable")]


def findings_of(judged: Judged) -> tuple[list[Finding], list[Suspect]]:
    """A finding with the first few, and at most 200 suspects; nothing for label sets and values."""
    if not judged.classes or judged.labels or len(judged) < _FEWEST:
        return [], []
    given = np.asarray(judged.target, dtype=np.int64)
    found = suspects(judged.prediction.values, given)
    count, listed = len(found), [_suspect(judged, given, int(n)) for n in found[:MOST]]
    if not count:
        return [
            Finding("labels", "ok", "no row's class contradicts what the model is sure of", f"{len(judged):,} rows")
        ], []
    first = "; ".join(
        f"row {s.row}: {s.given} ({s.given_probability:.2g}), rather {s.likely} ({s.probability:.3g})"
        for s in listed[:_SHOWN]
    )
    share = count / len(judged)
    return [
        Finding(
            "labels",
            "look" if share >= _LOOK or listed[0].probability > 0.99 else "ok",
            f"{count:,} rows may carry a wrong class",
            f"{share:.2%} of {len(judged):,} rows contradict what the model is sure of; {first}",
            f"read the first of the {len(listed)} in `suspects` of audit.json: a model that is sure may be wrong too",
        )
    ], listed


def _suspect(judged: Judged, given: Array, n: int) -> Suspect:
    probability = judged.prediction.values[n]
    likely = int(np.argmax(probability))
    return Suspect(
        int(judged.rows[n]),
        str(judged.part[n]),
        judged.classes[given[n]],
        judged.classes[likely],
        float(probability[likely]),
        float(probability[given[n]]),
    )
