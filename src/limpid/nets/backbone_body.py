"""The pretrained model itself: a form goes in as the model wants it, and one vector for each example comes out.

Legend: B examples, T tokens or samples, C channels, H height, W width, S outputs of the model, D width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from limpid.core.errors import BundleError, LimpidError, RequestError
from limpid.core.forms import Grid, GridShape, Seq, SeqShape
from limpid.nets import backbone_config as configs

_WHOLE = 255.0  # stored units of a picture that is 1 in the checkpoint's units
_TRIED_TOKENS, _TRIED_SAMPLES = 8, 4_000
_WORDS = {
    "input_ids": "words",
    "pixel_values": "pictures",
    "input_values": "sound",
    "input_features": "sound as a spectrogram",
}
_WRONG = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, AssertionError, RuntimeError)


class Body(nn.Module):
    """A module of transformers between limpid's forms and a vector.

    Tokens are the model's own plus one, since 0 is limpid's padding. Samples of sound are standardised in each example
    where the checkpoint was trained so. A model whose first layers look at a whole recording at once reads recordings
    of one length together, so that padding never changes an answer.

    Args:
        model: of transformers.
        config: its configuration.
        shape: of the form.
        pool: "mean", "first" or "own".
        mean, std: of each channel of its pictures, from 0 to 1; empty for those of the shape.

    Shapes and units:
        Seq or Grid to (B,D).

    Raises:
        RequestError: the model reads another kind of data.
    """

    def __init__(
        self,
        model: nn.Module,
        config: Any,
        shape: SeqShape | GridShape,
        *,
        pool: str,
        mean: tuple[float, ...],
        std: tuple[float, ...],
    ) -> None:
        super().__init__()
        self.model = model
        self.pool = pool
        self.shape = shape
        self.kind = str(config.model_type)
        self.reads = configs.reads_of(config)
        self.padding = int(getattr(config, "pad_token_id", None) or 0)
        self.by_length = self.reads == "input_values" and getattr(config, "feat_extract_norm", "") == "group"
        self.spectrum = (int(getattr(config, "max_length", 0) or 0), int(getattr(config, "num_mel_bins", 0) or 0))
        _check(self, config, shape)
        self.rescaled = bool(isinstance(shape, GridShape) and mean and std)
        if isinstance(shape, GridShape) and self.rescaled:
            if not len(mean) == len(std) == shape.channels:
                raise configs.unfit("its mean and deviation are of other channels than the pictures", "net.mean")
            # From the shape's own normalisation to the checkpoint's, at once.
            own = [(torch.tensor(m), torch.tensor(s)) for m, s in ((shape.mean, shape.std), (mean, std))]
            factor = own[0][1] / (_WHOLE * own[1][1])
            shift = (own[0][0] - _WHOLE * own[1][0]) / (_WHOLE * own[1][1])
            self.register_buffer("factor", factor.view(-1, 1, 1), persistent=False)
            self.register_buffer("shift", shift.view(-1, 1, 1), persistent=False)

    def forward(self, form: Seq | Grid) -> Tensor:
        """(B,D)."""
        if isinstance(form, Grid):
            return self._pooled(self._grid(form.pixels), None)
        if form.tokens is not None:
            ids = (form.tokens - 1).clamp_min(0).masked_fill(~form.mask, self.padding)
            output = self.model(input_ids=ids, attention_mask=form.mask.long())
            return self._pooled(output, form.mask)
        assert form.values is not None
        samples = _standardised(form.values.squeeze(-1).float(), form.mask)
        if not self.by_length:
            output = self.model(input_values=samples, attention_mask=form.mask.long())
            return self._pooled(output, self._kept(output.last_hidden_state, form.mask))
        return self._each_length(samples, form.mask)

    def _grid(self, pixels: Tensor) -> Any:
        if self.reads == "pixel_values":
            if self.rescaled:
                pixels = pixels * self.get_buffer("factor") + self.get_buffer("shift")
            return self.model(pixel_values=pixels)
        spectrum = pixels.squeeze(1).transpose(1, 2)  # (B,W,H): time, then bands
        most = self.spectrum[0]
        if most:
            spectrum = nn.functional.pad(spectrum[:, :most], (0, 0, 0, max(0, most - spectrum.shape[1])))
        return self.model(spectrum)

    def _each_length(self, samples: Tensor, mask: Tensor) -> Tensor:
        """(B,D) of recordings, those of one length together."""
        lengths = mask.sum(dim=1)
        result: Tensor | None = None
        for length in sorted(set(lengths.tolist())):
            rows = lengths == length
            # A recording that is shorter than the first layers reach is padded with silence.
            output = self.model(input_values=samples[rows, : max(int(length), min(400, samples.shape[1]))])
            pooled = self._pooled(output, None)
            result = pooled.new_zeros(len(samples), pooled.shape[1]) if result is None else result
            result = result.index_copy(0, rows.nonzero().squeeze(1), pooled)
        assert result is not None, "no examples"
        return result

    def _kept(self, states: Tensor, mask: Tensor) -> Tensor:
        """(B,S) which outputs of samples are not padding."""
        find = getattr(self.model, "_get_feature_vector_attention_mask", None)
        if find is None or states.shape[1] == mask.shape[1]:
            return mask
        kept: Tensor = find(states.shape[1], mask.long()).bool()
        return kept

    def _pooled(self, output: Any, mask: Tensor | None) -> Tensor:
        """(B,D) from (B,S,D), or from a map (B,D,H,W)."""
        if self.pool == "own":
            own: Tensor = output.pooler_output
            return own.flatten(1)
        states: Tensor = output.last_hidden_state
        if states.dim() == 4:
            return states.mean(dim=(2, 3))
        if self.pool == "first":
            return states[:, 0]
        if mask is None:
            return states.mean(dim=1)
        weight = mask.to(states.dtype).unsqueeze(2)
        return (states * weight).sum(dim=1) / weight.sum(dim=1).clamp_min(1.0)

    def choose_pool(self) -> tuple[str, str]:
        """Which pooling suits this model, and why."""
        if self.reads in ("input_ids", "input_features") or isinstance(self.shape, SeqShape):
            return "mean", "the mean over all outputs says more of frozen features than the first (arXiv 1908.10084)"
        if self.reads == "input_values":
            return "own", "what the model was trained to give for a whole recording"
        if any(name.endswith("cls_token") for name, _ in self.model.named_parameters()):
            return "first", "the model has a token for the whole picture"
        return "own", "the model pools its map by itself"

    @torch.no_grad()
    def measure(self) -> tuple[int, float]:
        """D, and the operations of one example's forward pass, from a blank example.

        Raises:
            LimpidError: the model cannot read such an example.
        """
        from torch.utils.flop_counter import FlopCounterMode

        try:
            with FlopCounterMode(display=False) as counter:
                features, share = self._tried()
        except LimpidError:
            raise
        except _WRONG as error:
            said = " ".join(str(error).split())[:300] or type(error).__name__
            raise BundleError(
                f"the backbone {self.kind} cannot read what it is given: {said}",
                where="net.model",
                expected=f"{_WORDS.get(self.reads, self.reads)} of the size that it was trained with",
                fix="leave size and length to the backbone, or choose another one",
            ) from error
        return int(features.shape[1]), counter.get_total_flops() / share

    def _tried(self) -> tuple[Tensor, float]:
        """Features of a blank example without padding, and which share of a whole one it is."""
        device = next(self.model.parameters()).device
        shape = self.shape
        if isinstance(shape, GridShape):
            pixels = torch.zeros(1, shape.channels, shape.height, shape.width, device=device)
            return self._pooled(self._grid(pixels), None), 1.0
        tried = min(shape.length, _TRIED_TOKENS if shape.vocabulary is not None else _TRIED_SAMPLES)
        if shape.vocabulary is not None:
            output = self.model(input_ids=torch.zeros(1, tried, dtype=torch.long, device=device))
        else:
            output = self.model(input_values=torch.zeros(1, tried, device=device))
        return self._pooled(output, None), tried / shape.length

    def still_unused(self) -> None:
        """Parameters that have no part in the features do not learn."""
        for name, parameter in self.model.named_parameters():
            if "masked_spec_embed" in name or (self.pool != "own" and name.startswith("pooler.")):
                parameter.requires_grad_(False)

    def depths(self) -> list[list[str]]:
        """Names of the parameters by depth: what follows the longest list of layers, these from the last to the first,
        and what comes before them."""
        lists = [(name, layer) for name, layer in self.named_modules() if isinstance(layer, nn.ModuleList)]
        outer = [(n, m) for n, m in lists if not any(n.startswith(other + ".") for other, _ in lists)]
        size = {n: sum(p.numel() for p in m.parameters()) for n, m in outer}
        path, layers = max(outer, key=lambda pair: size[pair[0]], default=("", nn.ModuleList()))
        names = [name for name, _ in self.named_parameters()]
        inside = [[n for n in names if n.startswith(f"{path}.{k}.")] for k in range(len(layers))]
        first = names.index(inside[0][0]) if inside and inside[0] else len(names)
        known = {n for group in inside for n in group}
        after = [n for k, n in enumerate(names) if k > first and n not in known]
        before = [n for k, n in enumerate(names) if k < first and n not in known]
        return [group for group in (after, *reversed(inside), before) if group]


def _standardised(samples: Tensor, mask: Tensor) -> Tensor:
    """(B,T) with mean 0 and variance 1 over what is no padding, which stays 0."""
    weight = mask.to(samples.dtype)
    count = weight.sum(dim=1, keepdim=True).clamp_min(1.0)
    mean = (samples * weight).sum(dim=1, keepdim=True) / count
    centred = (samples - mean) * weight
    return centred / (centred.square().sum(dim=1, keepdim=True) / count + 1e-7).sqrt()


def longest_text(config: Any) -> int | None:
    """The most tokens that a model reads, or None where there is no limit that it states."""
    most = getattr(config, "max_position_embeddings", None)
    if not isinstance(most, int):
        return None
    # Models of RoBERTa's kind count positions from behind the padding's id.
    padding = getattr(config, "pad_token_id", None)
    shifted = "roberta" in str(config.model_type) or config.model_type in ("camembert", "longformer", "mpnet", "esm")
    return most - (padding or 0) - 1 if shifted else most


def _check(body: Body, config: Any, shape: SeqShape | GridShape) -> None:
    """Refuse a form that the model does not read.

    Raises:
        RequestError: naming what it reads.
    """
    reads = body.reads
    if isinstance(shape, GridShape):
        fits = reads == "pixel_values" or (reads == "input_values" and body.spectrum[1] > 0 and shape.channels == 1)
        given = f"a grid of {shape.channels} x {shape.height} x {shape.width}"
        bands = body.spectrum[1]
        if fits and reads == "input_values" and shape.height != bands:
            raise _unread(body, f"{shape.height} bands", f"{bands} bands", "bands")
        if fits and reads == "pixel_values" and shape.channels != getattr(config, "num_channels", 3):
            raise _unread(
                body, f"{shape.channels} channels", f"{getattr(config, 'num_channels', 3)} channels", "channels"
            )
    elif shape.vocabulary is not None:
        fits, given = reads == "input_ids", "words"
        known = int(getattr(config, "vocab_size", 0))
        if fits and shape.vocabulary - 1 > known:
            raise _unread(body, f"{shape.vocabulary - 1:,} different tokens", f"the {known:,} of its own", "unit")
        longest = longest_text(config)
        if fits and longest is not None and shape.length > longest:
            raise _unread(body, f"texts of {shape.length:,} tokens", f"at most {longest:,} tokens", "max_tokens")
    else:
        fits, given = reads == "input_values" and shape.width == 1 and not body.spectrum[1], "sequences of values"
    if not fits:
        raise RequestError(
            f"{body.kind} reads {_WORDS.get(reads, reads)}, and the column gives {given}",
            where="net.model",
            expected=f"a column of {_WORDS.get(reads, reads)}",
            fix="choose a checkpoint for this kind of data",
        )


def _unread(body: Body, given: str, wanted: str, option: str) -> RequestError:
    return RequestError(
        f"{body.kind} was trained with {wanted}, and the column gives {given}",
        where=f"data.columns.NAME.options.{option}",
        expected=wanted,
        fix=f"leave the column's option {option} to the backbone",
    )
