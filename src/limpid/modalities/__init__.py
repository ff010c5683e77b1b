"""The kinds of columns: one file each, recognised from counted facts, fitted on training rows, stored as plain data."""

from limpid.core.catalogue import Catalogue, Entry

CATALOGUE = Catalogue(
    "kind of column",
    [
        Entry("number", "limpid.modalities.number:Number", "a quantity, scaled, with a flag where it is missing"),
        Entry("category", "limpid.modalities.category:Category", "one of several values, each with a code of its own"),
        Entry("labels", "limpid.modalities.labels:Labels", "a set of labels, one yes or no each"),
        Entry("date", "limpid.modalities.date:Date", "a date or time, as cycles (hour, weekday, season) and as a line"),
        Entry(
            "text",
            "limpid.modalities.text:Text",
            "words: hashed, of a vocabulary, characters or byte pairs",
        ),
        Entry("series", "limpid.modalities.series:Series", "numbers in the order of time, of one channel or several"),
        Entry("image", "limpid.modalities.image:Image", "a picture, as pixels of one size"),
        Entry("audio", "limpid.modalities.audio:Audio", "a recording, as how loud each pitch is over time"),
        Entry("key", "limpid.modalities.key:Key", "an identifier of the row, which no net reads"),
        Entry("constant", "limpid.modalities.constant:Constant", "the same in every row, which no net reads"),
        Entry("window", "limpid.modalities.window:Window", "a stretch of a series, cut out by a forecast"),
    ],
)
