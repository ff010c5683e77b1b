"""A checkpoint of `transformers` in a folder: found, fetched where a name of the hub is given, and read with suspicion.

Read are config.json, tokenizer.json, preprocessor_config.json and weights in safetensors. Everything else in the folder
is left alone: pickled weights are refused, and code that a checkpoint may bring is never looked at.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from limpid.core.errors import BundleError, RequestError
from limpid.core.files import digest, load_json, read_bounded

_CONFIG_LIMIT = 4 << 20
_INDEX_LIMIT = 32 << 20
_TOKENISER_LIMIT = 128 << 20
_WHOLE, _INDEX = "model.safetensors", "model.safetensors.index.json"
_SHARD = re.compile(r"[\w.-]+\.safetensors")
_MOST_SHARDS = 1_000
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_FETCHED = ("config.json", "tokenizer.json", "preprocessor_config.json", "model*.safetensors", _INDEX)
_PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".h5", ".msgpack")


@dataclass(frozen=True)
class Checkpoint:
    """A folder with a checkpoint.

    Args:
        folder: where it lies.
        named: as the user wrote it.
        where: the setting that names it, for messages.
    """

    folder: Path
    named: str
    where: str

    @classmethod
    def find(cls, named: str, *, where: str) -> Checkpoint:
        """The folder of that path, or what the hub has under that name.

        Raises:
            RequestError: there is neither.
        """
        path = Path(named).expanduser()
        if "\0" not in named and path.is_dir():
            return cls(path, named, where)
        if not _NAME.fullmatch(named) or path.exists():
            raise RequestError(
                f"there is no checkpoint at {named!r}",
                where=where,
                expected="a folder with config.json and model.safetensors, or a name on the hub such as "
                "google-bert/bert-base-uncased",
                fix="check the path",
            )
        return cls(_fetch(named, where), named, where)

    @cached_property
    def config(self) -> dict[str, Any]:
        """config.json as it stands.

        Raises:
            BundleError: it is missing or damaged.
        """
        found = self._json("config.json", _CONFIG_LIMIT)
        if found is None:
            raise self.damaged("it has no config.json")
        return found

    @cached_property
    def preprocessing(self) -> dict[str, Any]:
        """preprocessor_config.json, or nothing."""
        return self._json("preprocessor_config.json", _CONFIG_LIMIT) or {}

    @property
    def tokeniser(self) -> str | None:
        """tokenizer.json as text, or None.

        Raises:
            BundleError: it is damaged.
        """
        if self._json("tokenizer.json", _TOKENISER_LIMIT) is None:
            return None
        path = self.folder / "tokenizer.json"
        return read_bounded(path, _TOKENISER_LIMIT, BundleError, noun="tokeniser").decode("utf-8")

    @cached_property
    def weights(self) -> list[Path]:
        """The files of its weights.

        Raises:
            RequestError: they are not in safetensors.
            BundleError: some are missing.
        """
        if (self.folder / "adapter_config.json").exists():
            raise self.refused(
                "it is an adapter of another model, not a model",
                expected="a whole checkpoint",
                fix="merge the adapter into its model with the tool that made it, and save that",
            )
        if (self.folder / _WHOLE).is_file():
            return [self.folder / _WHOLE]
        index = self._json(_INDEX, _INDEX_LIMIT)
        if index is None:
            raise self._no_weights()
        listed = index.get("weight_map")
        names = sorted(set(listed.values())) if isinstance(listed, Mapping) and _texts(listed.values()) else []
        if not 1 <= len(names) <= _MOST_SHARDS or not all(_SHARD.fullmatch(name) for name in names):
            raise self.damaged(f"{_INDEX} does not list its files")
        absent = [name for name in names if not (self.folder / name).is_file()]
        if absent:
            raise self.damaged(f"{absent[0]} is missing")
        return [self.folder / name for name in names]

    @cached_property
    def digest(self) -> str:
        """sha256 of the weights, file after file in the order of their names."""
        try:
            each = [f"{path.name} {digest(path)}" for path in self.weights]
        except OSError as error:
            raise self.damaged(f"its weights cannot be read: {error.strerror or error}") from error
        return sha256("\n".join(each).encode()).hexdigest()

    def _json(self, name: str, limit: int) -> dict[str, Any] | None:
        path = self.folder / name
        if not path.exists():
            return None
        if not path.is_file():
            raise self.damaged(f"{name} is no file")
        value = load_json(read_bounded(path, limit, BundleError, noun=name), BundleError, where=str(path))
        if not isinstance(value, dict):
            raise self.damaged(f"{name} is not a mapping")
        return value

    def _no_weights(self) -> RequestError:
        pickled = sorted(p.name for p in self.folder.iterdir() if p.suffix in _PICKLED)
        if pickled:
            return self.refused(
                f"its weights are pickled ({', '.join(pickled[:3])}), and a pickle can run any code when it is opened",
                expected="weights in safetensors",
                fix="save it with safetensors where you trust it: model.save_pretrained(FOLDER) of transformers",
            )
        return self.refused(
            "it has no weights", expected=f"{_WHOLE} or {_INDEX}", fix="check that the folder is a whole checkpoint"
        )

    def refused(self, what: str, *, expected: str, fix: str) -> RequestError:
        """An error about this checkpoint that is no damage."""
        return RequestError(
            f"the checkpoint {self.named} cannot be used: {what}", where=self.where, expected=expected, fix=fix
        )

    def damaged(self, what: str) -> BundleError:
        """An error about a checkpoint that is not whole."""
        return BundleError(
            f"the checkpoint {self.named} cannot be used: {what[:400]}",
            where=str(self.folder),
            expected="a checkpoint as transformers saves it",
            fix="fetch or save it anew",
        )


def need_transformers(where: str) -> None:
    """Say how to install what checkpoints need, where it is absent.

    Raises:
        RequestError: transformers is not installed.
    """
    if find_spec("transformers") is None:
        raise RequestError(
            "the net backbone needs the package transformers, which is not installed",
            where=where,
            expected="limpid with its extra hf",
            fix="pip install 'limpid[hf]'",
        )


def _fetch(named: str, where: str) -> Path:
    """The folder in which the hub's own cache keeps a checkpoint, fetched where it is not there yet."""
    need_transformers(where)
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(named, allow_patterns=list(_FETCHED)))
    except (OSError, ValueError, RuntimeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise RequestError(
            f"there is no folder {named!r}, and the hub did not give a checkpoint of that name: {reason[:200]}",
            where=where,
            expected="a folder with a checkpoint, or a name on the hub and a way to it",
            fix="check the name; without a network, fetch the checkpoint elsewhere and name its folder",
        ) from error


def _texts(values: Any) -> bool:
    return all(isinstance(value, str) for value in values)
