"""The networks: name, class and a sentence for each; readable without torch."""

from limpid.core.catalogue import Catalogue, Entry

CATALOGUE = Catalogue(
    "net",
    [
        Entry(
            "tabm",
            "limpid.nets.tabm:TabM",
            "for tables: an ensemble of multilayer perceptrons that share their weights, on embedded numbers",
        ),
        Entry("mlp", "limpid.nets.mlp:MLP", "for tables: a multilayer perceptron of any depth and widths"),
        Entry(
            "ft_transformer",
            "limpid.nets.ft_transformer:FTTransformer",
            "for tables: a transformer in which each column is a token",
        ),
        Entry("bag", "limpid.nets.bag:Bag", "for sequences: the sum of the tokens' vectors, and a hidden layer"),
        Entry(
            "backbone",
            "limpid.nets.backbone:Backbone",
            "for words, pictures and sound: a pretrained model of transformers, by folder or name",
        ),
    ],
)

DEFAULTS = {"fields": "tabm", "seq": "bag", "grid": "resnet"}
"""Form -> the net that reads it where none is named."""
