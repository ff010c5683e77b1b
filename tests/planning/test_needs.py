"""What a pretrained net needs reaches its column: options that nobody fixed, and limits."""

from limpid.core.contracts import Needs
from limpid.core.schema import ColumnSpec
from limpid.planning.needs import net_asked, with_needs, within_limits

TEXT = ColumnSpec(kind="text")
TABLE = {"a": ColumnSpec(kind="number"), "words": TEXT}


def test_options_are_set_where_the_user_says_nothing():
    needs = Needs(options={"unit": "backbone", "no such option": 1})
    spec, because = with_needs(TEXT, needs)
    assert spec.options == {"unit": "backbone"} and list(because) == ["unit"]
    fixed = TEXT.with_(options={"unit": "words"})
    assert with_needs(fixed, needs) == (fixed, {})
    open_ = TEXT.with_(options={"unit": "auto"})
    assert with_needs(open_, needs)[0].options == {"unit": "backbone"}


def test_limits_hold_for_what_was_decided_and_not_for_what_was_asked():
    needs = Needs(most={"max_tokens": 32})
    planned = TEXT.with_(options={"max_tokens": 80})
    spec, because = within_limits(planned, TEXT, needs)
    assert spec.options["max_tokens"] == 32 and "80" in because["max_tokens"]
    assert within_limits(planned, planned, needs) == (planned, {})
    short = TEXT.with_(options={"max_tokens": 8})
    assert within_limits(short, TEXT, needs) == (short, {})


def test_which_net_reads_a_column():
    only = {"words": TEXT}
    assert net_asked({"name": "gru", "width": 8}, "words", only) == {"name": "gru", "width": 8}
    assert net_asked("gru", "words", only) == {"name": "gru"}
    assert net_asked({"name": "tabm"}, "words", TABLE) == {}
    assert net_asked({"name": "tabm", "words": "gru"}, "words", TABLE) == {"name": "gru"}
    assert net_asked({"words": {"name": "backbone", "model": "x"}}, "words", TABLE)["model"] == "x"
    assert net_asked(None, "words", only) == {}
