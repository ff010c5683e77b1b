"""Features of nets that stay as they are: computed once over the encoded rows, and kept in the cache folder.

Afterwards a training reads the features in place of pictures or words, and only what stands above them learns.
"""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch

from limpid.api.encode import LeftOut
from limpid.api.prepare import Prepared, stage
from limpid.core.errors import DataError
from limpid.core.events import Listener
from limpid.core.files import dump_json
from limpid.data import cache
from limpid.data.encoded import Encoded
from limpid.planning.assemble import Assembled, rows_at_once

_VERSION = 1
_BATCH = 256


def with_features(
    prepared: Prepared, model: Assembled, encoded: dict[str, Encoded], tell: Listener, *, keep: bool = True
) -> dict[str, Encoded]:
    """The parts with the features of each frozen net in place of the input that it reads.

    Args:
        prepared: says what the nets are and where rows come from.
        model: the network, with the weights that it begins with.
        encoded: the parts.
        tell: hears of the stage.
        keep: whether they are kept in the cache folder; a mere look at some rows is not.

    Raises:
        DataError: the cache folder cannot be written.
    """
    result = dict(encoded)
    device = prepared.request.device
    for name in model.frozen:
        rows = sum(len(part) for part in encoded.values())
        with stage(tell, "features", f"{rows:,} rows of {name}"):
            for part_name, part in encoded.items():
                if keep:
                    key = _key(prepared, name, part_name, part)
                    arrays = _kept(key, model, name, part, device, prepared.left_out)
                else:
                    arrays = _computed(model, name, part, device)
                others = {k: a for k, a in result[part_name].arrays.items() if not k.startswith(f"{name}.")}
                own = {f"{name}.{key}": array for key, array in arrays.items()}
                result[part_name] = replace(part, arrays={**others, **own})
    model.to("cpu")
    return result


def _key(prepared: Prepared, name: str, part_name: str, part: Encoded) -> str:
    """What the features depend on: the rows, how they are read, and the net with its weights."""
    table = prepared.draft.parts[part_name].table
    parts = (
        _VERSION,
        torch.__version__,
        torch.device(prepared.request.device).type,
        table.digest(),
        name,
        dump_json(prepared.draft.encoders.state()),
        dump_json(prepared.nets[name].as_dict()),
    )
    state = sha256("\n".join(map(str, parts)).encode())
    state.update(np.ascontiguousarray(part.rows, dtype=np.int64).tobytes())
    return "features-" + state.hexdigest()[:40]


def _kept(
    key: str, model: Assembled, name: str, part: Encoded, device: str, left_out: LeftOut
) -> dict[str, np.ndarray]:
    found = _read(key, len(part), left_out)
    if found is None:
        with cache.making(key) as folder:
            for kind, array in _computed(model, name, part, device).items():
                np.save(folder / f"{kind}.npy", array, allow_pickle=False)
        found = _read(key, len(part), left_out)
    if found is None:
        raise DataError(
            "the features were removed from the cache folder while they were being made",
            where=str(cache.folder()),
            expected="a cache folder that no other program empties, large enough for the features",
            fix="run the command again; LIMPID_CACHE_GB sets the folder's size",
        )
    return found


def _read(key: str, rows: int, left_out: LeftOut) -> dict[str, np.ndarray] | None:
    entry = cache.find(key)
    if entry is None:
        return None
    lock = cache.hold(entry)
    try:
        names: list[Path] = sorted(entry.glob("*.npy"))
        arrays = {path.stem: np.load(path, mmap_mode="r", allow_pickle=False) for path in names}
        if "features" not in arrays or any(len(array) != rows for array in arrays.values()):
            raise ValueError("rows are missing")
    except (OSError, ValueError):
        if lock is not None:
            lock.close()
        cache.remove(entry)  # damaged: made anew
        return None
    if lock is not None:
        left_out.holds.append(lock)
    return arrays


def _computed(model: Assembled, name: str, part: Encoded, device: str) -> dict[str, np.ndarray]:
    """Batch by batch, in evaluation mode."""
    model.to(device).eval()
    own = {key: array for key, array in part.arrays.items() if key.startswith(f"{name}.")}
    size = rows_at_once(model, _BATCH)
    pieces: list[dict[str, np.ndarray]] = []
    for start in range(0, len(part), size):
        # Copied, since torch refuses views of read-only memory-mapped arrays.
        batch = {k: torch.from_numpy(np.array(a[start : start + size])).to(device) for k, a in own.items()}
        with torch.inference_mode():
            pieces.append({k: v.cpu().numpy() for k, v in model.bottom(name, batch).items()})
    return {key: np.concatenate([piece[key] for piece in pieces]) for key in pieces[0]}
