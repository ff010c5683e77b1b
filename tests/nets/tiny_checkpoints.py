"""Checkpoints of a few thousand weights, made here and saved as transformers saves them: nothing is fetched."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

transformers = pytest.importorskip("transformers", reason="needs the extra hf")

from limpid.nets.backbone_config import silence  # noqa: E402

SMALL = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32}
WORDS = ("a", "bad", "dull", "film", "fine", "good", "moving", "of", "plot", "poor", "the", "very", "waste", "witty")
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WAVES = {
    **SMALL,
    "conv_dim": (8, 8),
    "conv_kernel": (10, 4),
    "conv_stride": (5, 4),
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
}


def configuration(kind: str) -> Any:
    """A small configuration of each family."""
    t = transformers
    vocabulary = len(SPECIAL) + len(WORDS)
    return {
        "bert": lambda: t.BertConfig(vocab_size=vocabulary, max_position_embeddings=32, **SMALL),
        "distilbert": lambda: t.DistilBertConfig(
            vocab_size=vocabulary, max_position_embeddings=32, dim=16, n_layers=2, n_heads=2, hidden_dim=32
        ),
        "roberta": lambda: t.RobertaConfig(
            vocab_size=vocabulary, max_position_embeddings=34, pad_token_id=1, type_vocab_size=1, **SMALL
        ),
        "gpt2": lambda: t.GPT2Config(vocab_size=vocabulary, n_positions=32, n_embd=16, n_layer=2, n_head=2),
        "vit": lambda: t.ViTConfig(image_size=16, patch_size=4, **SMALL),
        "convnext": lambda: t.ConvNextConfig(hidden_sizes=[8, 12], depths=[1, 2], num_stages=2, patch_size=2),
        "resnet": lambda: t.ResNetConfig(embedding_size=8, hidden_sizes=[8, 12], depths=[1, 2], layer_type="basic"),
        "wav2vec2": lambda: t.Wav2Vec2Config(**WAVES),
        "hubert": lambda: t.HubertConfig(**WAVES, feat_extract_norm="layer", conv_bias=True, do_stable_layer_norm=True),
        "ast": lambda: t.ASTConfig(max_length=24, num_mel_bins=16, patch_size=8, **SMALL),
    }[kind]()


def checkpoint(kind: str, folder: Path, *, seed: int = 0) -> Path:
    """Save a model with random weights, and what belongs to it."""
    silence()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = transformers.AutoModel.from_config(configuration(kind)).eval()
        for parameter in model.parameters():  # the first weights of transformers are too small to tell examples apart
            if parameter.dim() > 1:
                parameter.data.mul_(3.0)
    model.save_pretrained(folder)
    if kind in ("vit", "convnext", "resnet"):
        size = {"height": 16, "width": 16}
        statistics = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.25, 0.3], "size": size}
        (folder / "preprocessor_config.json").write_text(json.dumps(statistics))
    if kind in ("bert", "distilbert"):
        tokeniser().save(str(folder / "tokenizer.json"))
    return folder


def tokeniser() -> Any:
    """Whole words, as BERT wraps them."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    vocabulary = {token: place for place, token in enumerate((*SPECIAL, *WORDS))}
    made = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.BertProcessing(("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"]))
    return made


def original(folder: Path) -> Any:
    """The model as transformers itself loads it."""
    return transformers.AutoModel.from_pretrained(folder).eval()
