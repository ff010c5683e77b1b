"""From a checkpoint's configuration to its module: plain data in, a class of `transformers` itself, never code.

A configuration may come from a bundle of unknown origin. It is cut down to plain values of bounded size; whatever could
name code, other files or other machines is left out, and only classes that transformers itself brings are built.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from limpid.core.errors import BundleError, LimpidError
from limpid.core.names import nearest

_DEEPEST, _LONGEST, _MOST = 4, 200, 4_096
_LARGEST = 1e9
_MOST_LAYERS = 1_000
_LEFT_OUT = frozenset(
    {
        *("_attn_implementation", "_attn_implementation_internal", "_commit_hash", "_name_or_path", "architectures"),
        *("attn_implementation", "auto_map", "custom_pipelines", "dtype", "id2label", "label2id", "name_or_path"),
        *("num_labels", "output_attentions", "output_hidden_states", "problem_type", "return_dict"),
        *("task_specific_params", "torch_dtype", "transformers_version", "use_cache", "use_kernels", "kernel_config"),
    }
)
_REFUSED = {
    "quantization_config": "its weights are quantised",
    "backbone_config": "it is made of another model",
    "use_timm_backbone": "it is made of another model",
    "text_config": "it reads several kinds of data at once",
    "vision_config": "it reads several kinds of data at once",
    "audio_config": "it reads several kinds of data at once",
}
_ELSEWHERE = re.compile(r"timm")
_WRONG = (
    LookupError, TypeError, ValueError, AttributeError, ArithmeticError, AssertionError, RuntimeError, ImportError,
    MemoryError, OSError,
)  # fmt: skip
_STILL = {
    "apply_spec_augment": False,  # its masks are drawn by numpy; limpid augments by itself
    "layerdrop": 0.0,
    "encoder_layerdrop": 0.0,
    "use_cache": False,
    "output_attentions": False,
    "output_hidden_states": False,
    "return_dict": True,
}


def clean(raw: Mapping[str, Any], *, where: str) -> dict[str, Any]:
    """A configuration cut down to what shapes the module.

    Raises:
        BundleError: it holds other things than a configuration does, or is of a model that cannot be a backbone.
    """
    kind = raw.get("model_type")
    if not isinstance(kind, str) or not kind:
        raise unfit("its configuration names no model_type", where)
    result = {key: value for key, value in raw.items() if isinstance(key, str) and key not in _LEFT_OUT}
    for key, reason in _REFUSED.items():
        if result.pop(key, None) not in (None, False):
            raise unfit(f"{reason} ({key})", where)
    if result.get("is_encoder_decoder"):
        raise unfit("it is an encoder with a decoder", where)
    if len(result) > _MOST or not all(_plain(value, _DEEPEST) for value in result.values()):
        raise unfit("its configuration holds values that no configuration holds", where)
    for key, value in result.items():
        counted = [value] if isinstance(value, int) else value if isinstance(value, list) else []
        layers = sum(v for v in counted if isinstance(v, int))
        if ("layer" in key or key in ("depths", "n_blocks")) and layers > _MOST_LAYERS and "dim" not in key:
            raise unfit(f"its configuration asks for {layers:,} layers ({key})", where)
    return result


def config_of(values: Mapping[str, Any], *, where: str) -> Any:
    """The configuration as an object of transformers, for a class that transformers itself brings.

    Args:
        values: cleaned.

    Raises:
        BundleError: there is no such class, or it refuses the values.
    """
    from transformers import CONFIG_MAPPING, MODEL_MAPPING

    name = str(values["model_type"])
    if name not in CONFIG_MAPPING or _ELSEWHERE.search(name):
        known = list(CONFIG_MAPPING)
        near = nearest(name, known)
        raise unfit(
            f"transformers has no model {name!r}" + (f"; {near!r} is spelt most like it" if near else ""), where
        )
    with _explained(where):
        config = CONFIG_MAPPING[name](**{k: v for k, v in values.items() if k != "model_type"})
        for key, value in _STILL.items():
            if hasattr(config, key):
                setattr(config, key, value)
    if type(config) not in MODEL_MAPPING:
        raise unfit(f"transformers has no plain model for {name!r}", where)
    return config


def build(config: Any, *, where: str) -> nn.Module:
    """The module with first weights from torch's generator.

    Raises:
        BundleError: transformers refuses the configuration.
    """
    kind = _class_of(config)
    with _explained(where):
        module: nn.Module = kind._from_config(config, attn_implementation=_attention(kind), dtype=torch.float32)
    return module.eval()


def load(config: Any, folder: Path, *, where: str) -> nn.Module:
    """The module with the weights of a folder, safetensors only.

    Raises:
        BundleError: weights are missing, of other shapes, damaged or not finite.
    """
    kind = _class_of(config)
    with _explained(where):
        module, found = kind.from_pretrained(
            str(folder),
            config=config,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
            attn_implementation=_attention(kind),
            dtype=torch.float32,
        )
    absent = [name for name in found["missing_keys"] if not re.search(r"pooler|masked_spec_embed", name)]
    if absent:
        raise unfit(f"the weights of {absent[0]!r} and {len(absent) - 1} more are missing", where)
    for name, value in module.state_dict().items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise unfit(f"the weight {name!r} is not finite", where)
    loaded: nn.Module = module
    return loaded.eval()


def reads_of(config: Any) -> str:
    """The name of the module's main input: input_ids, pixel_values, input_values, input_features."""
    return str(_class_of(config).main_input_name)


def silence() -> None:
    """Keep transformers from writing progress and warnings of its own over limpid's."""
    from transformers.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]


def _class_of(config: Any) -> Any:
    from transformers import MODEL_MAPPING

    found = MODEL_MAPPING[type(config)]
    return found[0] if isinstance(found, (tuple, list)) else found


def _attention(kind: Any) -> str:
    return "sdpa" if getattr(kind, "_supports_sdpa", False) else "eager"


def _plain(value: Any, depth: int) -> bool:
    """Whether it is plain data of bounded size."""
    if isinstance(value, bool) or value is None:
        return True
    if isinstance(value, (int, float)):
        return abs(value) <= _LARGEST
    if isinstance(value, str):
        return len(value) <= _LONGEST and value.isprintable()
    if depth == 0 or not isinstance(value, (list, tuple, Mapping)) or len(value) > _MOST:
        return False
    if isinstance(value, Mapping):
        return all(isinstance(k, str) and len(k) <= _LONGEST and _plain(v, depth - 1) for k, v in value.items())
    return all(_plain(inner, depth - 1) for inner in value)


@contextmanager
def _explained(where: str) -> Iterator[None]:
    """Turn what transformers raises about a configuration or weights into an error of limpid's."""
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError

    silence()
    try:
        yield
    except LimpidError:
        raise
    except (*_WRONG, StrictDataclassError, SafetensorError) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise unfit(f"transformers says: {said[:300]}", where) from error


def unfit(what: str, where: str) -> BundleError:
    """The error for a checkpoint or a stored backbone that cannot be built."""
    return BundleError(
        "".join(c if c.isprintable() else "?" for c in f"the backbone cannot be built: {what}"),
        where=where,
        expected="a checkpoint as transformers saves it, of one model with one main input",
        fix="check the checkpoint, or choose another one",
    )
