"""Is a run that was killed at any moment the same in the end? `python -m benchmarks.resume --kills 50`.

Trains once undisturbed, then again and again: each time the process is sent SIGKILL (or SIGTERM) after a random part
of the undisturbed time, resumed, and the weights' sha256 compared. The moments follow from --seed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.run import cpu
from benchmarks.tables import WORK


def command(asked: argparse.Namespace, out: Path) -> list[str]:
    """The command that starts and that resumes."""
    words = [sys.executable, "-m", "limpid", "train", asked.data, "--out", str(out), "--resume", "--quiet"]
    if asked.target:
        words += ["--target", asked.target]
    return words + [word for setting in asked.set for word in ("--set", setting)]


def digest(run: Path) -> str:
    """sha256 of the weights."""
    return hashlib.sha256((run / "model" / "weights.safetensors").read_bytes()).hexdigest()


def disturbed(words: list[str], out: Path, moments: list[float], kind: int) -> int:
    """Run, strike at the moments, resume to the end; returns how many strikes met a living process."""
    shutil.rmtree(out, ignore_errors=True)
    struck = 0
    for moment in moments:
        child = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)
        try:
            child.wait(timeout=moment)
        except subprocess.TimeoutExpired:
            child.send_signal(kind)
            struck += 1
            start = time.monotonic()
            child.wait(timeout=60)
            if kind == signal.SIGTERM and (child.returncode != 130 or time.monotonic() - start > 10):
                took = time.monotonic() - start
                raise SystemExit(f"SIGTERM: exit {child.returncode} after {took:.1f} s") from None
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"the resumed run failed: {done.stderr.strip()}")
    return struck


def main() -> None:
    """Kill, resume, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="sample:breast_cancer")
    parser.add_argument("--target", default=None)
    parser.add_argument("--kills", type=int, default=50, help="disturbed runs")
    parser.add_argument("--times", type=int, default=1, help="strikes a run")
    parser.add_argument("--signal", choices=("KILL", "TERM", "INT"), default="KILL")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--set", action="append", default=None, help="settings of the run")
    parser.add_argument("--repeats", type=int, default=1, help="undisturbed runs that have to be equal")
    asked = parser.parse_args()
    asked.set = asked.set or ["train.epochs=60", "train.patience=0", "train.checkpoint_seconds=0.2"]
    folder = WORK / "resume"
    hashes, whole = [], 0.0
    for n in range(asked.repeats):
        shutil.rmtree(folder / f"whole-{n}", ignore_errors=True)
        start = time.monotonic()
        subprocess.run(command(asked, folder / f"whole-{n}"), check=True)
        whole = time.monotonic() - start
        hashes.append(digest(folder / f"whole-{n}"))
    same_hashes = hashes.count(hashes[0])
    print(f"undisturbed: {whole:.1f} s; {same_hashes} of {len(hashes)} weight hashes equal", file=sys.stderr)
    draw = random.Random(asked.seed)
    equal = struck = 0
    for n in range(asked.kills):
        moments = [draw.uniform(0.05, 1.0) * whole for _ in range(asked.times)]
        out = folder / "struck"
        struck += disturbed(command(asked, out), out, moments, getattr(signal, f"SIG{asked.signal}"))
        same = digest(out) == hashes[0]
        equal += same
        print(
            f"{n + 1}: at {', '.join(f'{m:.2f}' for m in moments)} s: {'equal' if same else 'DIFFERENT'}",
            file=sys.stderr,
        )
    record = {
        "cpu": cpu(),
        "load": os.getloadavg(),
        "signal": asked.signal,
        "seed": asked.seed,
        "runs": asked.kills,
        "struck": struck,
        "equal": equal,
        "repeats": len(hashes),
        "repeats_equal": same_hashes,
        "undisturbed_s": round(whole, 2),
        "at": time.strftime("%Y-%m-%dT%H:%M:%S"),
    }
    print(json.dumps(record))
    sys.exit(equal != asked.kills or len(set(hashes)) != 1)


if __name__ == "__main__":
    main()
