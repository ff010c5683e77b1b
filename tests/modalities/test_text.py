import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limpid.core.contracts import Size
from limpid.core.errors import BundleError, RequestError
from limpid.core.repairs import Repairs
from limpid.data.facts import column_facts
from limpid.modalities.text import Text, TextSpec

pytestmark = pytest.mark.slow


def encoder(**changes: object) -> Text:
    return learnt(pl.Series("t", ["x"]), unit="hashed", min_count=1, **changes)


def learnt(column: pl.Series, **changes: object) -> Text:
    values = {"buckets": 2**16, "max_tokens": 64, "pieces": False, "min_count": 1, **changes}
    return Text.fit(TextSpec.model_validate(values), column)


def tokens(text: Text, *values: str | None) -> np.ndarray:
    return text.encode(pl.Series("t", values, dtype=pl.String), Repairs())["tokens"]


def test_words_keep_their_order_and_padding_is_zero() -> None:
    found = tokens(encoder(), "the cat the dog", "dog", "", None)
    assert (found != 0).sum(axis=1).tolist() == [4, 1, 0, 0]
    assert found[0, 0] == found[0, 2] != found[0, 1]
    assert found[1, 0] == found[0, 3]


def test_spellings_of_one_word_share_an_id() -> None:
    found = tokens(encoder(), "Straße", "STRASSE", "ｓｔｒａｓｓｅ", "ﬁne", "FINE")
    assert found[0, 0] == found[1, 0] == found[2, 0] and found[3, 0] == found[4, 0] != found[0, 0]


def test_signs_and_characters_of_scripts_without_blanks_are_words() -> None:
    found = tokens(encoder(), "win £5 now!", "日本語 text", "日本")
    assert (found != 0).sum(axis=1).tolist() == [5, 4, 2]
    assert found[1, :2].tolist() == found[2, :2].tolist()


def test_pieces_follow_the_words() -> None:
    found = tokens(encoder(pieces=True), "cat", "cats", "to cat")
    # <cat> has 3 pieces of 3 and 2 of 4; of 5 it is the word itself. <cats> has 4, 3 and 2.
    assert (found != 0).sum(axis=1).tolist() == [1 + 5, 1 + 9, 2 + 2 + 5]
    cat, cats = set(found[0, 1:6]), set(found[1, 1:10])
    assert len(cat & cats) == 3  # <ca, cat and <cat
    assert found[2, 1] == found[0, 0] and found[2, 4:9].tolist() == found[0, 1:6].tolist()


def test_the_hash_never_changes() -> None:
    # Bundles of earlier versions rely on these ids.
    found = tokens(encoder(pieces=True), "Don't panic: naïve 42!")
    assert found[0, :12].tolist() == [
        15605,
        23544,
        24277,
        20751,
        23269,
        23779,
        10653,
        19926,
        44209,
        50191,
        50087,
        40091,
    ]


def test_long_texts_are_cut_words_first() -> None:
    short = encoder(max_tokens=5, pieces=True)
    found = tokens(short, "one two three four five six seven", "one two")
    assert (found != 0).sum(axis=1).tolist() == [5, 5] and found[0, :2].tolist() == found[1, :2].tolist()
    huge = tokens(short, "x" * 1_000_000, "y " * 1_000_000)
    assert (huge != 0).all()


def test_ids_spread_evenly() -> None:
    found = tokens(encoder(buckets=101), *[f"word{i}" for i in range(20_000)])[:, 0]
    counts = np.bincount(found, minlength=101)
    assert counts[0] == 0
    chance = ((counts[1:] - 200.0) ** 2 / 200.0).sum()  # chi squared of 99 degrees of freedom
    assert 50 < chance < 160


@given(st.lists(st.text(max_size=40), min_size=1, max_size=6), st.integers(1, 40), st.booleans())
def test_few_and_many_texts_give_the_same_tokens(texts: list[str], length: int, pieces: bool) -> None:
    text = encoder(max_tokens=length, pieces=pieces)
    few, many = tokens(text, *texts), tokens(text, *(texts * 70))
    assert np.array_equal(np.tile(few, (70, 1)), many)
    filled = few != 0
    assert (np.diff(filled.astype(int), axis=1) <= 0).all()  # padding only at the end


def test_batches_do_not_change_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"row {i} of {i % 7} and more" for i in range(500)]
    whole = tokens(encoder(pieces=True), *texts)
    monkeypatch.setattr("limpid.modalities.text._ROWS", 100)
    assert np.array_equal(whole, tokens(encoder(pieces=True), *texts))


def test_the_plan_scales_with_the_amount_of_text() -> None:
    column = pl.Series("t", [f"this is message {i} about something else" for i in range(200)])
    facts = column_facts(column)
    small, reasons = Text.plan(TextSpec(), facts, Size(200, 2, "x"))
    large, _ = Text.plan(TextSpec(), facts, Size(10**6, 2, "x"))
    assert (small.buckets, large.buckets) == (2**15, 2**18) and small.max_tokens == large.max_tokens
    assert set(reasons) == {"unit", "buckets", "max_tokens", "min_count", "pieces"}
    found = tokens(Text.fit(small, column), *column.to_list())
    assert (found[:, -1] == 0).mean() > 0.9  # nearly every text fits


def test_numbers_are_words_too() -> None:
    text = encoder()
    assert np.array_equal(text.encode(pl.Series("t", [1.0, 22]), Repairs())["tokens"], tokens(text, "1", "22"))


TRAINING = pl.Series("t", ["the cat sat", "the dog sat on the mat", "A Cat!", None, ""])
STRANGE = ["", "the", "THE CAT", "日本語 the cat", "x" * 10_000, "naïve \x00 \u200d🎉 cat", "the " * 500, None]


def test_words_get_their_ids_by_frequency_and_rare_ones_share_one() -> None:
    text = learnt(TRAINING, unit="words", min_count=2)
    assert text.state() == {"name": "t", "vocabulary": ["the", "cat", "sat"]}
    assert text.shape().vocabulary == 5
    found = tokens(text, "The cat ran!", "mat", None)
    assert found[:, :5].tolist() == [[2, 3, 1, 1, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 0]]


def test_a_vocabulary_is_no_larger_than_allowed() -> None:
    text = learnt(pl.Series("t", [" ".join(f"w{i}" for i in range(n)) for n in range(60)]), unit="words", buckets=20)
    assert text.shape().vocabulary == 20
    assert text.unit.state()["vocabulary"][:2] == ["w0", "w1"]


def test_characters_in_their_order_blanks_included() -> None:
    text = learnt(pl.Series("t", ["aab", "ba a"]), unit="characters")
    assert text.unit.state()["vocabulary"] == ["a", "b", " "]
    assert tokens(text, "Ab c")[0, :5].tolist() == [2, 3, 4, 1, 0]


@pytest.mark.parametrize("unit", ["words", "characters", "bpe"])
@given(st.lists(st.text(max_size=40), min_size=1, max_size=6), st.integers(1, 40))
def test_few_and_many_texts_give_the_same_ordered_tokens(unit: str, texts: list[str], length: int) -> None:
    text = learnt(TRAINING, unit=unit, max_tokens=length)
    few, many = tokens(text, *texts), tokens(text, *(texts * 70))
    assert np.array_equal(np.tile(few, (70, 1)), many)
    assert (np.diff((few != 0).astype(int), axis=1) <= 0).all()
    assert few.max(initial=0) < text.shape().vocabulary


@pytest.mark.parametrize("unit", ["words", "characters", "bpe"])
def test_the_order_of_words_is_the_order_of_tokens(unit: str) -> None:
    text = learnt(TRAINING, unit=unit)
    one, two = tokens(text, "the cat sat", "sat the cat")
    assert sorted(one) == sorted(two) or unit == "bpe"
    assert one.tolist() != two.tolist()
    spec = TextSpec(unit=unit, buckets=2**16, max_tokens=2, min_count=1, pieces=False)
    assert tokens(Text.from_state(spec, text.state()), "the cat sat")[0].tolist() == one[:2].tolist()


def messages(seed: int, rows: int = 400) -> pl.Series:
    draws = np.random.default_rng(seed)
    stems = ["walk", "talk", "jump", "play", "look", "über", "straße", "日本"]
    ends = ["", "s", "ed", "ing", "er", "!"]
    picked = [" ".join(f"{stems[a]}{ends[b]}" for a, b in draws.integers(0, [8, 6], (7, 2))) for _ in range(rows)]
    return pl.Series("t", picked)


def test_byte_pairs_are_those_of_the_package_that_learnt_them() -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    text = learnt(messages(0), unit="bpe", buckets=60, min_count=2, max_tokens=40)
    state = text.unit.state()
    merges = [tuple(m.split(" ")) for m in state["merges"]]
    names = list(dict.fromkeys([*state["alphabet"], *("".join(m) for m in merges)]))
    assert len(merges) > 10 and len(names) == 58
    theirs = Tokenizer(
        models.BPE(vocab={"?": 1, **{n: i for i, n in enumerate(names, 2)}}, merges=merges, unk_token="?")
    )
    theirs.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    samples = [*messages(1, 200).to_list(), "unheard words x", "überüberüber"]
    ours = tokens(text, *samples)
    for sample, row in zip(samples, ours, strict=True):
        marked = " ".join("▁" + w for w in sample.replace("!", " !").casefold().split())
        marked = marked.replace("日本", "日 ▁本").replace("本s", "本 ▁s").replace("本ed", "本 ▁ed")
        marked = marked.replace("本ing", "本 ▁ing").replace("本er", "本 ▁er")
        assert row[row > 0].tolist() == theirs.encode(marked).ids, sample


def test_byte_pairs_are_the_same_in_every_process() -> None:
    import subprocess
    import sys

    code = (
        "import sys; sys.path.insert(0, 'tests/modalities'); import polars as pl; from test_text import learnt, messages;"
        "print(learnt(messages(0), unit='bpe', buckets=70).state())"
    )
    found = {subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout for _ in range(3)}
    assert len(found) == 1


def test_without_the_package_byte_pairs_are_refused_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(RequestError, match="not installed") as caught:
        learnt(TRAINING, unit="bpe")
    assert "limpid[text]" in caught.value.fix


def test_applying_byte_pairs_needs_no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    text = learnt(TRAINING, unit="bpe", buckets=40)
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    spec = TextSpec(unit="bpe", buckets=40, max_tokens=64, min_count=1, pieces=False)
    again = Text.from_state(spec, text.state())
    assert np.array_equal(tokens(again, *STRANGE), tokens(text, *STRANGE))


@pytest.mark.parametrize("state", [{"merges": ["q r"]}, {"merges": ["cat"]}, {"alphabet": []}, {"merges": [" a"]}])
def test_merges_of_unknown_pieces_are_refused(state: dict[str, object]) -> None:
    spec = TextSpec(unit="bpe", buckets=40, max_tokens=64, min_count=1, pieces=False)
    with pytest.raises(BundleError):
        Text.from_state(spec, {**learnt(TRAINING, unit="bpe", buckets=40).state(), **state})


def test_a_bundle_of_the_first_version_holds_hashed_words() -> None:
    old = TextSpec.model_validate({"buckets": 2**16, "max_tokens": 64, "pieces": True})
    again = Text.from_state(old, {"name": "t"})
    assert np.array_equal(tokens(again, *STRANGE), tokens(encoder(pieces=True), *STRANGE))


def test_the_net_decides_what_a_token_is() -> None:
    facts = column_facts(pl.Series("t", [f"this is message {i} about something else" for i in range(200)]))

    def planned(net: str | None, **asked: object) -> TextSpec:
        return Text.plan(TextSpec.model_validate(asked), facts, Size(5_000, 2, "classification", net=net))[0]

    assert planned("gru").unit == "words" and planned("gru").pieces is False
    assert planned("bag").unit == "hashed" and planned("bag").pieces is True
    assert planned("bag", unit="words").pieces is False
    assert planned("gru").max_tokens == 8
    assert planned("gru", unit="characters").max_tokens == 40


def test_a_short_budget_reads_less_of_long_texts() -> None:
    facts = column_facts(pl.Series("t", ["word " * (50 + i) for i in range(200)]))
    size = Size(100_000, 2, "classification", seconds=30, flops_per_second=1e11, net="gru")
    short, reasons = Text.plan(TextSpec(), facts, size)
    assert short.max_tokens < Text.plan(TextSpec(), facts, Size(100_000, 2, "x", net="gru"))[0].max_tokens
    assert "30 s" in reasons["max_tokens"]


def test_lengths_of_texts_are_counted_as_they_are_read() -> None:
    facts = column_facts(pl.Series("t", [f"{'a, ' * n}{n}" for n in range(1, 101)]))
    assert facts.word_quantiles[0] == 3 and facts.word_quantiles[-1] == 201
    assert facts.word_quantiles[4] == np.quantile(2 * np.arange(1, 101) + 1, 0.5, method="lower")
    assert facts.character_quantiles[-1] == 303
