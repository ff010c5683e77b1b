"""Waiting threads give way, unless the user says otherwise."""

import os
import subprocess
import sys

import pytest

from limpid.core.threads import give_way

NAMES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")


def test_importing_limpid_says_so_before_torch_is_there():
    clean = {name: value for name, value in os.environ.items() if name not in NAMES}
    code = "import limpid, os, sys; print(os.environ['GOMP_SPINCOUNT'], 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], env=clean, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1000", "False"]


@pytest.mark.parametrize("name", NAMES)
def test_what_the_user_says_wins(monkeypatch, name):
    for each in NAMES:
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setenv(name, "active")
    give_way()
    assert [os.environ.get(each) for each in NAMES] == ["active" if each == name else None for each in NAMES]
