"""Do data larger than memory train? `python -m benchmarks.big --gigabytes 5 --memory 2`.

Writes a CSV of that size (numbers, categories, a date, missing cells; the target follows from them), or of words
(`--kind text`: a word in ten tells the class), or as many pictures of 224 by 224 pixels as asked for (`--kind pictures
--rows 100000`: JPEG in Parquet, stripes of four directions under noise); trains on it, and watches the anonymous memory
of the process, which is what it cannot give back. A file is made once and kept.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.run import cpu
from benchmarks.tables import WORK

CHUNK = 500_000


def chunk(seed: int) -> pl.DataFrame:
    """Rows number `seed` of the table."""
    draw = np.random.default_rng(seed)
    numbers = {f"x{i}": np.round(draw.normal(size=CHUNK), 4) for i in range(12)}
    words = {f"c{i}": draw.choice([f"w{j}" for j in range(5 * (i + 1))], CHUNK) for i in range(4)}
    day = np.datetime64("2020-01-01") + draw.integers(0, 1500, CHUNK)
    signal = numbers["x0"] * numbers["x1"] + np.sin(3 * numbers["x2"]) + (words["c0"] == "w1")
    frame = pl.DataFrame({**numbers, **words, "day": day})
    frame = frame.with_columns(
        pl.when(pl.Series(draw.random(CHUNK) < 0.03)).then(None).otherwise(pl.col("x3")).alias("x3")
    )
    return frame.with_columns(pl.Series("y", np.round(signal + 0.3 * draw.normal(size=CHUNK), 4)))


def sentences(seed: int) -> pl.DataFrame:
    """Rows number `seed` of the text: about 120 words each, of 50,000, the frequent ones as often as in a language."""
    draw = np.random.default_rng(seed)
    words = np.array([f"w{n:x}" for n in range(50_000)], dtype=object)
    rows, length = CHUNK // 50, 120
    picked = np.minimum(draw.zipf(1.3, (rows, length)), len(words)) - 1
    labels = draw.integers(0, 2, rows)
    telling = draw.random((rows, length)) < 0.1
    picked = np.where(telling, 1_000 + 2 * draw.integers(0, 500, (rows, length)) + labels[:, None], picked)
    return pl.DataFrame({"text": [" ".join(line) for line in words[picked]], "y": np.where(labels, "odd", "even")})


def picture(seed: int) -> tuple[bytes, str]:
    """One JPEG of 224 by 224 pixels and the direction of its stripes."""
    from PIL import Image

    draw = np.random.default_rng(seed)
    which = int(draw.integers(0, 4))
    angle, wave, phase = which * np.pi / 4, draw.uniform(8, 40), draw.uniform(0, 6)
    y, x = np.mgrid[0:224, 0:224]
    stripes = 40 * np.sin((x * np.cos(angle) + y * np.sin(angle)) / wave * 2 * np.pi + phase)
    noise = np.asarray(Image.fromarray(draw.integers(0, 256, (28, 28, 3), dtype=np.uint8)).resize((224, 224)))
    pixels = np.clip(stripes[:, :, None] + noise, 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=80)
    return file.getvalue(), f"{which * 45} degrees"


def make(gigabytes: float, kind: str = "table", rows: int = 0) -> Path:
    """Write the file, or return the one that is there."""
    path = WORK / (f"big-{rows}.parquet" if kind == "pictures" else f"big-{kind}-{gigabytes:g}.csv")
    if path.exists():
        return path
    WORK.mkdir(exist_ok=True)
    part = path.with_suffix(".part")
    if kind == "pictures":
        with multiprocessing.Pool() as pool:
            cells, labels = zip(*pool.imap(picture, range(rows), chunksize=200), strict=True)
        pl.DataFrame({"picture": cells, "y": labels}).write_parquet(part, row_group_size=1_000)
    else:
        with part.open("wb") as file:
            n = 0
            while file.tell() < gigabytes * 1e9:
                (sentences if kind == "text" else chunk)(n).write_csv(file, include_header=n == 0)
                n += 1
    part.replace(path)
    return path


def anonymous(process: int) -> int:
    """Anonymous memory of a process in bytes."""
    try:
        text = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in text.splitlines() if line.startswith("RssAnon")), 0)


def main() -> None:
    """Make, train, watch, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=5.0)
    parser.add_argument("--kind", choices=("table", "text", "pictures"), default="table")
    parser.add_argument("--rows", type=int, default=100_000, help="pictures")
    parser.add_argument("--memory", type=float, default=2.0, help="gigabytes of anonymous memory it may take")
    parser.add_argument("--budget", default=None, help="by default until early stopping")
    parser.add_argument("--set", action="append", default=[], help="settings of the run")
    asked = parser.parse_args()
    path = make(asked.gigabytes, asked.kind, asked.rows)
    out = WORK / f"big-run-{int(time.time())}"
    words = [sys.executable, "-m", "limpid", "train", str(path), "--target", "y", "--out", str(out), "--json"]
    words += ["--budget", asked.budget] if asked.budget else []
    words += [word for setting in asked.set for word in ("--set", setting)]
    start = time.monotonic()
    child = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    peak = 0
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.05):
            peak = max(peak, anonymous(child.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    answer, _ = child.communicate()
    done.set()
    watcher.join()
    record = {
        "cpu": cpu(),
        "load": os.getloadavg(),
        "file_bytes": path.stat().st_size,
        "peak_anonymous_bytes": peak,
        "limit_bytes": int(asked.memory * 1e9),
        "seconds": round(time.monotonic() - start, 1),
        "exit": child.returncode,
        "answer": json.loads(answer.strip().splitlines()[-1]) if answer.strip() else None,
        "at": time.strftime("%Y-%m-%dT%H:%M:%S"),
    }
    print(json.dumps(record))
    sys.exit(child.returncode != 0 or peak > asked.memory * 1e9)


if __name__ == "__main__":
    main()
