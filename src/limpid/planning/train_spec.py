"""How a network is trained: every dial of the supervised loop, with its unit."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from limpid.core.spec import AUTO, Auto, Spec

Count = Annotated[int, Field(ge=1)]
NotNegativeCount = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0.0, lt=1.0)]
NotNegative = Annotated[float, Field(ge=0.0)]
Positive = Annotated[float, Field(gt=0.0)]


class TrainSpec(Spec):
    """Settings of the supervised loop.

    A field that says "auto" is decided by the plan; `lr: range` is settled by a range test before the first step.
    """

    epochs: Auto | NotNegativeCount = Field(
        default=AUTO,
        description="epochs at most, each a pass over the training rows unless epoch_steps says otherwise; schedules "
        "are stretched over all of them; 0 for a net whose head is solved for without any step",
    )
    epoch_steps: Count | None = Field(
        default=None,
        description="steps in an epoch, after which validation rows are looked at; null for a pass over all rows",
    )
    stop_step: Count | None = Field(
        default=None,
        description="step at which training ends though its schedule goes on; written by a run that its clock stopped",
    )
    course: tuple[tuple[NotNegativeCount, Count], ...] = Field(
        default=(),
        description="where the end of the schedule was moved: pairs of a step and the steps of the whole training from "
        "then on; written by a run whose machine was slower than it had measured",
    )
    batch: Auto | Count = Field(default=AUTO, description="training rows in one batch")
    accumulate: Count = Field(default=1, description="batches whose gradients are joined into one step")
    micro_batch: Auto | Count = Field(
        default=AUTO, description="rows in one forward pass at most; a smaller one saves memory and changes no gradient"
    )
    lr: Auto | Literal["range"] | Positive = Field(
        default=AUTO, description="learning rate at its peak, or range for a range test before the first step"
    )
    optimiser: Auto | Literal["sgd", "nesterov", "adam", "adamw", "rmsprop", "muon"] = Field(
        default=AUTO, description="update rule; muon is for matrices between hidden layers, with adamw for the rest"
    )
    momentum: Share = Field(
        default=0.9, description="momentum of sgd, nesterov and rmsprop; decay of the first moment of adam and adamw"
    )
    second_moment: Share = Field(
        default=0.999, description="decay of the mean squared gradient in adam, adamw and rmsprop"
    )
    weight_decay: Auto | NotNegative = Field(
        default=AUTO, description="decay of weights, per unit of learning rate; norms and biases are spared"
    )
    schedule: Auto | Literal["constant", "step", "cosine", "one-cycle", "plateau"] = Field(
        default=AUTO, description="course of the learning rate"
    )
    warmup: Auto | Share = Field(
        default=AUTO, description="share of all steps in which the rate rises linearly (in one-cycle: to its peak)"
    )
    decay: Annotated[float, Field(gt=0.0, lt=1.0)] = Field(
        default=0.1, description="factor by which the schedules step and plateau lower the rate"
    )
    decay_every: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        default=1 / 3, description="share of all steps after which the schedule step lowers the rate"
    )
    plateau: Annotated[int, Field(ge=0)] = Field(
        default=5, description="epochs without a better validation score that the schedule plateau waits for"
    )
    ema: Auto | Share = Field(
        default=AUTO, description="decay per step of the moving average of weights that becomes the model, 0 for none"
    )
    clip: Auto | Positive | None = Field(
        default=AUTO, description="norm that gradients are clipped to, or null for no clipping"
    )
    patience: Auto | Annotated[int, Field(ge=0)] = Field(
        default=AUTO, description="epochs without a better validation score before training stops early, 0 for never"
    )
    precision: Auto | Literal["fp32", "bf16"] = Field(
        default=AUTO, description="arithmetic of the forward pass; weights are always kept in fp32"
    )
    channels_last: Auto | bool = Field(
        default=AUTO,
        description="whether the channels of a pixel lie side by side in memory while pictures are read, which some "
        "processors convolve faster; gives other last bits",
    )
    threads: Auto | Annotated[int, Field(ge=1, le=1024)] = Field(
        default=AUTO, description="processor threads; another number gives other last bits"
    )
    small: Auto | Share = Field(
        default=AUTO,
        description="share of all steps, from the first one on, in which pictures are shown at three quarters of their "
        "sides, which makes steps cheaper; for nets that read pictures of any size",
    )
    mix: Literal["none", "mixup", "cutmix"] = Field(
        default="none",
        description="whether pictures of a batch are mixed in pairs, with the loss of both by their shares",
    )
    mix_alpha: Positive = Field(
        default=1.0, description="both parameters of the beta distribution that shares of mixed pictures are drawn from"
    )
    refit: Auto | bool = Field(
        default=AUTO,
        description="whether the network, once judged on validation rows, is fitted anew on training and validation "
        "rows together, for as many steps a row; calibration and validation figures stay those of the first",
    )
    folds: Auto | Annotated[int, Field(ge=0, le=50)] = Field(
        default=AUTO,
        description="parts of training and validation rows that are left out one after another, each from a network of "
        "its own, once the first one was judged; the mean of them is the model, and what they say of left-out rows "
        "weighs it against a line (`net.line`); 0 for none",
    )
    unfreeze: Auto | Share = Field(
        default=AUTO,
        description="share of all steps over which the layers of a net that starts from a trained model begin to learn "
        "one after another, from the head down; 0 for all at once",
    )
    depth_decay: Auto | Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        default=AUTO,
        description="factor by which the learning rate falls from layer to layer of a started net, from the head down",
    )
    fairness: tuple[str, ...] = Field(
        default=(),
        description="columns whose groups are to be treated alike, also such as the model does not read; for several, "
        "groups are of all of them together",
    )
    fairness_by: Literal["penalty", "reweigh"] = Field(
        default="penalty",
        description="how: by a penalty on the difference of mean scores where the truth is the same (equalised odds), "
        "or by weights of rows under which class and group are independent",
    )
    fairness_weight: NotNegative = Field(
        default=3.0, description="strength of the penalty, in units of the loss per squared difference"
    )
    watch: bool = Field(
        default=True,
        description="whether layers and the losses of examples are watched while it trains, for the report; has no "
        "influence on the weights",
    )
    checkpoint_seconds: NotNegative = Field(
        default=30.0, description="time between checkpoints in seconds; has no influence on the weights"
    )

    @field_validator("fairness", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return tuple(v.strip() for v in value.split(",") if v.strip()) if isinstance(value, str) else value or ()
