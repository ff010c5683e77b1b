"""Turns data into deep-learning models that people can see through.

The public names are the verbs of the command line (`limpid.train("people.csv", target="income")`) and what they
give. They are loaded when first used, so that importing limpid costs next to nothing and does not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from limpid._version import __version__
from limpid.core.threads import give_way

if TYPE_CHECKING:
    from limpid.api import (
        LimpidError,
        Metric,
        Model,
        Run,
        audit,
        compare,
        doctor,
        evaluate,
        explain,
        inspect,
        load,
        plan,
        predict,
        report,
        trace,
        train,
    )

__all__ = [
    "LimpidError",
    "Metric",
    "Model",
    "Run",
    "__version__",
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

give_way()  # before torch is loaded, which reads it then


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'limpid' has no attribute {name!r}")
    from limpid import api

    value = getattr(api, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
