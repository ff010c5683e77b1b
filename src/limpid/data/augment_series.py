"""How series are changed in training, so that a network learns what stays the same: settings, free of torch."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from limpid.core.spec import Spec

Size = Annotated[float, Field(ge=0.0, le=2.0)]


class SeriesAugmentSpec(Spec):
    """Changes of a training series, drawn anew for each row in each pass; 0 leaves one out.

    Jitter, scaling, magnitude and time warping as in Um et al. 2017, "Data augmentation of wearable sensor data for
    Parkinson's disease monitoring" (arXiv 1706.00527); window slicing as in Le Guennec et al. 2016, "Data augmentation
    for time series classification using convolutional neural networks".
    """

    share: Annotated[float, Field(ge=0.0, le=1.0)] = Field(
        default=1.0, description="share of the rows that are changed at all, 0 to 1"
    )
    jitter: Size = Field(
        default=0.0, description="standard deviation of noise on each value, in units of its channel's"
    )
    scaling: Size = Field(
        default=0.0, description="standard deviation of the log of a factor on each channel of a series"
    )
    magnitude_warp: Size = Field(
        default=0.0, description="standard deviation, at its knots, of a smooth curve that multiplies each channel"
    )
    time_warp: Size = Field(
        default=0.0, description="standard deviation, at its knots, of the log of the speed at which a series passes"
    )
    window: Annotated[float, Field(ge=0.0, le=0.9)] = Field(
        default=0.0, description="greatest share of a series that is cut off its ends before it is stretched again"
    )
    knots: Annotated[int, Field(ge=2, le=64)] = Field(
        default=6, description="points between which the warping curves bend"
    )

    marks: bool = Field(
        default=False,
        description="whether the last channel marks gaps, which moves in time and keeps its values; the column knows",
    )

    @property
    def any(self) -> bool:
        """Whether anything is changed."""
        sizes = (self.jitter, self.scaling, self.magnitude_warp, self.time_warp, self.window)
        return self.share > 0 and max(sizes) > 0
