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
        Entry(
            "ngrams",
            "limpid.nets.ngrams:Ngrams",
            "for text: words, pairs and pieces weighed by what they speak for, beside bags of their vectors",
        ),
        Entry("bag", "limpid.nets.bag:Bag", "for sequences: the sum of the tokens' vectors, and a hidden layer"),
        Entry("fasttext", "limpid.nets.fasttext:FastText", "for sequences: the mean of vectors of words and of pairs"),
        Entry("rnn", "limpid.nets.rnn:RNN", "for sequences: a plain recurrent net in both directions"),
        Entry("lstm", "limpid.nets.lstm:LSTM", "for sequences: a recurrent net with a gated cell, in both directions"),
        Entry("gru", "limpid.nets.gru:GRU", "for sequences: a recurrent net with two gates, in both directions"),
        Entry("textcnn", "limpid.nets.textcnn:TextCNN", "for sequences: patterns of neighbouring words"),
        Entry(
            "transformer",
            "limpid.nets.transformer:Transformer",
            "for sequences: a transformer encoder with rotary positions",
        ),
        Entry(
            "resnet",
            "limpid.nets.resnet:ResNet",
            "for pictures: convolutions on whitened patches, after the fastest recipes for CIFAR-10",
        ),
        Entry("cnn", "limpid.nets.cnn:CNN", "for pictures: the textbook network of convolutions and pooling"),
        Entry("vit", "limpid.nets.vit:ViT", "for pictures: a transformer in which each patch is a token"),
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
        Entry(
            "dlinear",
            "limpid.nets.dlinear:DLinear",
            "for series: the moving average and what is left of it, for the head's linear layer",
        ),
        Entry(
            "nhits",
            "limpid.nets.nhits:NHiTS",
            "for series: blocks that look at several rates, each explaining what the ones before left",
        ),
        Entry(
            "patchtst", "limpid.nets.patchtst:PatchTST", "for series: a transformer in which each stretch is a token"
        ),
        Entry(
            "backbone",
            "limpid.nets.backbone:Backbone",
            "for words, pictures and sound: a pretrained model of transformers, by folder or name",
        ),
    ],
)

DEFAULTS = {"fields": "tabm", "seq": "bag", "tokens": "ngrams", "values": "convkernel", "grid": "resnet"}
"""Form, or content of a seq, -> the net that reads it where none is named; "seq" is for text beside a main input."""
