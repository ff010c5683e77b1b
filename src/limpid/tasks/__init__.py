"""What can be wanted of a column: one file for each task."""

from limpid.core.catalogue import Catalogue, Entry

CATALOGUE = Catalogue(
    "task",
    [
        Entry(
            "classification",
            "limpid.tasks.classification:Classification",
            "which class a row belongs to, of two or of many; or which labels it carries",
        ),
        Entry(
            "regression",
            "limpid.tasks.regression:Regression",
            "how much: one number or several, each with a 90 % interval",
        ),
        Entry(
            "forecasting",
            "limpid.tasks.forecasting:Forecasting",
            "how series go on: the next values of one or of many, each with a 90 % band",
        ),
    ],
)
