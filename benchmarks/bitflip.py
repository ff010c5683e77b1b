"""Is a bundle with one changed bit refused? `python -m benchmarks.bitflip --flips 500 [--bundle DIR]`.

Every flip is tried in a process that was forked for it, under limits of memory and time, so that a crash counts as a
crash. Without a bundle a small one is trained on iris.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from benchmarks.run import cpu

SECONDS = 5
BYTES_ABOVE = 256 << 20


def bundle_to_flip(folder: Path) -> Path:
    """Train a small model and return its bundle."""
    command = [sys.executable, "-m", "limpid", "train", "sample:iris", "--set", "train.epochs=2"]
    subprocess.run([*command, "--out", str(folder / "run"), "--quiet"], check=True)
    return folder / "run" / "model"


def attempt(bundle: Path) -> str:
    """Load it in a child: "refused", "loaded", "untyped" for an error of another kind, "crashed" or "hung"."""
    child = os.fork()
    if child == 0:
        signal.alarm(SECONDS)
        held = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (held + BYTES_ABOVE, held + BYTES_ABOVE))
        os._exit(_load(bundle))
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return "hung" if os.WTERMSIG(status) == signal.SIGALRM else "crashed"
    return {0: "loaded", 2: "refused"}.get(os.WEXITSTATUS(status), "untyped")


def _load(bundle: Path) -> int:
    import limpid

    try:
        limpid.load(bundle)
    except limpid.LimpidError:
        return 2
    except BaseException:  # a child that is about to end; anything but a typed refusal is a finding
        return 3
    return 0


def main() -> None:
    """Flip, load, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=None)
    parser.add_argument("--flips", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    draw = random.Random(asked.seed)
    with tempfile.TemporaryDirectory() as name:
        source = asked.bundle or bundle_to_flip(Path(name))
        import limpid

        limpid.load(source)  # imports what children need, and proves that the bundle is sound before it is changed
        members = sorted(source.iterdir())
        sizes = [p.stat().st_size for p in members]
        counts: dict[str, Counter[str]] = {p.name: Counter() for p in members}
        for n in range(asked.flips):
            # Half of the flips by size, half by file: otherwise nearly all of them would meet the weights.
            member = draw.choices(members, sizes)[0] if n % 2 else draw.choice(members)
            content = bytearray(member.read_bytes())
            place, bit = draw.randrange(len(content)), draw.randrange(8)
            content[place] ^= 1 << bit
            copy = Path(name) / "flipped"
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(source, copy)
            (copy / member.name).write_bytes(content)
            outcome = attempt(copy)
            counts[member.name][outcome] += 1
            if outcome != "refused":
                print(f"{member.name} byte {place} bit {bit}: {outcome}", file=sys.stderr)
    total = sum(counts.values(), Counter())
    record = {
        "cpu": cpu(),
        "flips": asked.flips,
        "seed": asked.seed,
        "outcomes": dict(total),
        "by_file": {name: dict(c) for name, c in counts.items()},
        "at": time.strftime("%Y-%m-%dT%H:%M:%S"),
    }
    print(json.dumps(record))
    sys.exit(total["refused"] != asked.flips)


if __name__ == "__main__":
    main()
