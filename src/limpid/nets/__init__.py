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
            "convkernel",
            "limpid.nets.convkernel:ConvKernel",
            "for series: thousands of fixed convolution kernels, and a linear head solved for in closed form",
        ),
        Entry("tcn", "limpid.nets.tcn:TCN", "for series: dilated causal convolutions in residual blocks"),
        Entry(
            "inceptiontime",
            "limpid.nets.inceptiontime:InceptionTime",
            "for series: convolutions of several lengths side by side, in an ensemble",
        ),
    ],
)

DEFAULTS = {"fields": "tabm", "seq": "bag", "values": "convkernel"}
"""Form, or content of a seq, -> the net that reads it where none is named."""
