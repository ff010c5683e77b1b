"""backbone: a model of `transformers` that others trained on much more data, for words, pictures or sound.

Legend: B examples, T tokens or samples, C channels, H height, W width, D width of the features.

How it learns (`train`): `head` leaves it as it is, so that its features are computed once and kept; `adapters` puts
low-rank adapters (Hu et al. 2021, arXiv 2106.09685) on its attention; `all` lets every weight learn, the deeper the
more slowly (Howard & Ruder 2018, arXiv 1801.06146). The checkpoint gives configuration and weights as data; a bundle
holds both and needs its folder no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from limpid.core.contracts import Needs, Reasons, Size
from limpid.core.errors import RequestError, RunError
from limpid.core.forms import Grid, GridShape, Seq, SeqShape
from limpid.core.spec import AUTO, Auto, Spec
from limpid.layers.lora import adapt, adaptable, fold_all
from limpid.nets import backbone_config as configs
from limpid.nets.backbone_body import Body, longest_text
from limpid.nets.backbone_files import Checkpoint, need_transformers
from limpid.nets.backbone_plan import choose_training, preferences

_ATTENTION = ("query", "value", "q_proj", "v_proj", "q_lin", "v_lin", "q", "v", "qkv", "Wqkv")
_WHERE = "net.model"
_LEAST_SPREAD = 1e-6


class BackboneSpec(Spec):
    """Settings of backbone."""

    model: str = Field(
        default="", description="a folder with a checkpoint of transformers, or its name on the hub; empty in a bundle"
    )
    train: Auto | Literal["head", "adapters", "all"] = Field(
        default=AUTO,
        description="what learns: head (nothing of the backbone; its features are computed once), adapters (low-rank "
        "ones on its attention), or all of it",
    )
    pool: Auto | Literal["mean", "first", "own"] = Field(
        default=AUTO,
        description="how its outputs become one vector: their mean, the first one, or what it gives by itself",
    )
    rank: Annotated[int, Field(ge=1, le=512)] = Field(default=8, description="rank of the adapters")
    mean: Auto | tuple[float, ...] = Field(
        default=AUTO, description="mean of each channel of the pictures that it was trained with, from 0 to 1"
    )
    std: Auto | tuple[Annotated[float, Field(gt=0)], ...] = Field(
        default=AUTO, description="standard deviation of each channel of these pictures, from 0 to 1"
    )
    sha256: str = Field(default="", description="of the checkpoint's weights; a changed checkpoint is refused")
    config: dict[str, Any] = Field(default_factory=dict, description="the checkpoint's configuration, as data")


class Backbone(nn.Module):
    """A pretrained model as a net.

    Args:
        spec: without autos.
        shape: of words as the model's own tokens, of a grid, or of samples.

    Shapes and units:
        Seq or Grid to (B,D).

    Raises:
        LimpidError: the checkpoint is not there, damaged, or reads something else.
    """

    Spec: ClassVar[type[BackboneSpec]] = BackboneSpec
    takes: ClassVar[str] = "seq or grid"
    gives: ClassVar[frozenset[str]] = frozenset({"vec"})

    width: int
    members: int | None = None
    mean: Tensor
    spread: Tensor

    def __init__(self, spec: BackboneSpec, shape: SeqShape | GridShape) -> None:
        super().__init__()
        assert not spec.autos(), "a spec with autos"
        assert spec.mean != AUTO and spec.std != AUTO
        assert spec.pool != AUTO
        need_transformers(_WHERE)
        config = configs.config_of(configs.clean(spec.config, where=_WHERE), where=_WHERE)
        if spec.model:
            checkpoint = _checkpoint(spec)
            model = configs.load(config, checkpoint.folder, where=str(checkpoint.folder))
        else:
            model = configs.build(config, where=_WHERE)
        self.body = Body(model, config, shape, pool=spec.pool, mean=spec.mean, std=spec.std)
        self.width, self._flops = self.body.measure()
        self.pretrained = {f"body.{name}" for name, _ in self.body.named_parameters()} if spec.model else set()
        self.frozen = spec.train == "head"
        if spec.train == "adapters":
            adapt(model, adaptable(model, _ATTENTION), spec.rank)
        elif self.frozen:
            self.body.requires_grad_(False)
        self.body.still_unused()
        self.still = {f"body.{name}" for name, p in self.body.named_parameters() if not p.requires_grad}
        if self.frozen:
            self.still |= {f"body.{name}" for name, _ in self.body.named_buffers()}
        self.register_buffer("mean", torch.zeros(self.width))
        self.register_buffer("spread", torch.ones(self.width))

    @classmethod
    def plan(cls, spec: BackboneSpec, shape: SeqShape | GridShape, size: Size) -> tuple[BackboneSpec, Reasons]:
        """Read the checkpoint; choose what learns by rows and time."""
        need_transformers(_WHERE)
        settled: dict[str, Any] = {}
        because: Reasons = {}
        preprocessing: Mapping[str, Any] = {}
        if spec.model:
            checkpoint = _checkpoint(spec)
            settled["sha256"] = checkpoint.digest
            preprocessing = checkpoint.preprocessing
            if not spec.config:
                settled["config"] = configs.clean(checkpoint.config, where=str(checkpoint.folder))
        elif not spec.config:
            raise RequestError(
                "the net backbone needs a checkpoint",
                where=_WHERE,
                expected="a folder with a checkpoint of transformers, or its name on the hub",
                fix="add --set net.model=FOLDER",
            )
        spec = spec.with_(**settled)
        found: dict[str, Any] = {}
        for field, key in (("mean", "image_mean"), ("std", "image_std")):
            if getattr(spec, field) == AUTO:
                values, because[field] = _channels(preprocessing.get(key), shape)
                found[field] = values
        config = configs.config_of(configs.clean(spec.config, where=_WHERE), where=_WHERE)
        with torch.random.fork_rng(devices=[]):  # a model of the same shape, to see what it reads and what that costs
            model = configs.build(config, where=_WHERE)
        body = Body(model, config, shape, pool="mean", mean=(), std=())
        if spec.pool == AUTO:
            found["pool"], because["pool"] = body.choose_pool()
        body.pool = str(found.get("pool", spec.pool))
        _, flops = body.measure()
        adapters = bool(adaptable(model, _ATTENTION))
        if spec.train == AUTO:
            weights = sum(p.numel() for p in model.parameters())
            found["train"], because["train"] = choose_training(flops, weights, size, adapters=adapters)
        elif spec.train == "adapters" and not adapters:
            raise RequestError(
                f"{config.model_type} has no attention layers of a known name that adapters could be put on",
                where="net.train",
                expected="head or all",
                fix="--set net.train=all",
            )
        return spec.with_(**found), because

    @classmethod
    def train_defaults(
        cls, spec: BackboneSpec, shape: SeqShape | GridShape, size: Size
    ) -> tuple[dict[str, Any], Reasons]:
        """How this net likes to be trained: fields of the train section, with reasons."""
        assert spec.train != AUTO
        return preferences(spec.train, size)

    @classmethod
    def portable(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The settings as a bundle holds them: without the checkpoint's place."""
        return {**settings, "model": ""}

    @classmethod
    def needs(cls, settings: Mapping[str, Any]) -> dict[str, Needs]:
        """Kind of column -> what it takes for it to give what the checkpoint reads.

        Args:
            settings: of the net, as far as they are known.

        Raises:
            LimpidError: the checkpoint is not there or damaged.
        """
        named = settings.get("model")
        if not isinstance(named, str) or not named:
            return {}
        need_transformers(_WHERE)
        checkpoint = Checkpoint.find(named, where=_WHERE)
        config = configs.config_of(configs.clean(checkpoint.config, where=str(checkpoint.folder)), where=_WHERE)
        return _needs(config, checkpoint)

    def prepare(self, form: Any, target: Tensor) -> None:
        """Nothing to find in raw examples; features that were computed once are standardised, see `prepare_top`."""

    @torch.no_grad()
    def prepare_top(self, features: Tensor) -> None:
        """Find the mean and the spread of features (N,D) of training examples."""
        self.mean.copy_(features.mean(dim=0))
        self.spread.copy_(features.std(dim=0, correction=0).clamp_min(_LEAST_SPREAD))

    def bottom(self, form: Seq | Grid) -> Tensor:
        """(B,D) features: of a frozen backbone, all that depends on the form and never changes."""
        if not self.frozen:
            features: Tensor = self.body(form)
            return features
        with torch.no_grad():
            still: Tensor = self.body(form)
        return still

    def top(self, features: Tensor) -> Tensor:
        """(B,D) from the features."""
        result: Tensor = (features - self.mean) / self.spread
        return result

    def forward(self, form: Seq | Grid) -> Tensor:
        """(B,D)."""
        return self.top(self.bottom(form))

    def train(self, mode: bool = True) -> Backbone:
        """A frozen backbone stays in evaluation mode, so that its features are always the same."""
        super().train(mode)
        if self.frozen:
            self.body.eval()
        return self

    def depths(self) -> list[list[str]]:
        """Names of the parameters by depth, those nearest to the output first."""
        return [[f"body.{name}" for name in names] for names in self.body.depths()]

    def fold(self) -> None:
        """Fold the adapters into the weights."""
        fold_all(self)

    def flops(self) -> float:
        """Of one example."""
        return self._flops


def _checkpoint(spec: BackboneSpec) -> Checkpoint:
    """The checkpoint that the spec names, unchanged since the plan was made."""
    checkpoint = Checkpoint.find(spec.model, where=_WHERE)
    if spec.sha256 and checkpoint.digest != spec.sha256:
        raise RunError(
            f"the checkpoint {spec.model} has other weights than when the plan was made",
            where=_WHERE,
            expected=f"weights with the sha256 {spec.sha256[:16]}...",
            fix="restore the checkpoint, or plan anew with it",
        )
    return checkpoint


def _channels(values: Any, shape: SeqShape | GridShape) -> tuple[tuple[float, ...], str]:
    if not isinstance(shape, GridShape):
        return (), "it reads no pictures"
    if isinstance(values, list) and values and all(isinstance(v, (int, float)) for v in values):
        many = [float(v) for v in values] * (shape.channels if len(values) == 1 else 1)
        if len(many) == shape.channels:
            return tuple(many), "as preprocessor_config.json says"
    return (), "the checkpoint says nothing, so that of the training pictures is used"


def _needs(config: Any, checkpoint: Checkpoint) -> dict[str, Needs]:
    """Kind of column -> its options, from a checkpoint's configuration."""
    reads = configs.reads_of(config)
    if reads == "input_ids":
        longest = longest_text(config)
        most = {} if longest is None else {"max_tokens": longest}
        return {"text": Needs({"unit": "backbone"}, most, {"tokeniser": checkpoint.tokeniser})}
    if reads == "pixel_values":
        height, width = _size(config, checkpoint.preprocessing)
        options = {"channels": int(getattr(config, "num_channels", 3))}
        return {"image": Needs({**options, **({} if height is None else {"height": height, "width": width})})}
    rate = checkpoint.preprocessing.get("sampling_rate")
    return {"audio": Needs({"rate": rate if isinstance(rate, int) and 1_000 <= rate <= 192_000 else 16_000})}


def _size(config: Any, preprocessing: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Height and width of the pictures that it was trained with, or None where any will do."""
    named = preprocessing.get("crop_size") if preprocessing.get("do_center_crop") else preprocessing.get("size")
    own = getattr(config, "image_size", None)
    for value in (named, own):
        if isinstance(value, Mapping):
            sides = [value.get("height", value.get("shortest_edge")), value.get("width", value.get("shortest_edge"))]
        elif isinstance(value, (list, tuple)):
            sides = list(value)
        else:
            sides = [value, value]
        if len(sides) == 2 and all(isinstance(side, int) and 4 <= side <= 4_096 for side in sides):
            return int(sides[0]), int(sides[1])
    return None, None
