"""The verbs as Python functions, and what they give; loaded when first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from limpid.api.audited import Audit, audit
    from limpid.api.diagnosis import Diagnosis, doctor
    from limpid.api.explanations import Explanation, explain
    from limpid.api.figures import Evaluation, evaluate
    from limpid.api.inspection import Inspection, PlanResult, inspect, plan
    from limpid.api.launch import train
    from limpid.api.model import Model, load
    from limpid.api.prediction import Predictions, predict
    from limpid.api.runs import Comparison, Run, compare, report
    from limpid.api.traces import Trace, trace
    from limpid.core.contracts import Metric, Prediction
    from limpid.core.errors import LimpidError

_HOMES = {
    "Audit": "api.audited",
    "Comparison": "api.runs",
    "Diagnosis": "api.diagnosis",
    "Evaluation": "api.figures",
    "Explanation": "api.explanations",
    "Inspection": "api.inspection",
    "LimpidError": "core.errors",
    "Metric": "core.contracts",
    "Model": "api.model",
    "PlanResult": "api.inspection",
    "Prediction": "core.contracts",
    "Predictions": "api.prediction",
    "Run": "api.runs",
    "Trace": "api.traces",
    "audit": "api.audited",
    "compare": "api.runs",
    "doctor": "api.diagnosis",
    "evaluate": "api.figures",
    "explain": "api.explanations",
    "inspect": "api.inspection",
    "load": "api.model",
    "plan": "api.inspection",
    "predict": "api.prediction",
    "report": "api.runs",
    "trace": "api.traces",
    "train": "api.launch",
}

__all__ = [
    "Audit",
    "Comparison",
    "Diagnosis",
    "Evaluation",
    "Explanation",
    "Inspection",
    "LimpidError",
    "Metric",
    "Model",
    "PlanResult",
    "Prediction",
    "Predictions",
    "Run",
    "Trace",
    "audit",
    "compare",
    "doctor",
    "evaluate",
    "explain",
    "inspect",
    "load",
    "plan",
    "predict",
    "report",
    "trace",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'limpid.api' has no attribute {name!r}")
    value = getattr(import_module(f"limpid.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
