"""How long may a thread that waits for others keep its processor busy?

The threads of one operation wait for each other at its end. GNU's OpenMP, which torch and scikit-learn bring on Linux,
lets them spin for some milliseconds first, because a sleeping thread wakes late. Where something else wants the
processor, the one that is waited for then does not get it: two trainings side by side on two cores take twenty times as
long as one after the other. A thousand rounds are enough when nothing else runs, and harmless when something does
(benchmarks/waiting.py).
"""

from __future__ import annotations

import os

_ROUNDS = "1000"
_ASKED = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")


def give_way() -> None:
    """Say so to libraries that are loaded from now on, and to processes that are started; what the user says wins."""
    if not any(name in os.environ for name in _ASKED):
        os.environ["GOMP_SPINCOUNT"] = _ROUNDS
