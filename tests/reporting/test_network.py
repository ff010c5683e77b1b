"""The drawing of the network: lanes, caps, escaping."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

from limpid.reporting.network import network_svg


def layer(name: str, kind: str = "Linear", parameters: int = 10) -> dict[str, Any]:
    return {"name": name, "kind": kind, "shape": ["B", 4], "parameters": parameters}


def texts(drawn: str) -> list[str]:
    return [e.text or "" for e in ElementTree.fromstring(drawn).iter() if e.tag.endswith("text")]


def boxes(drawn: str) -> dict[str, float]:
    """Title of each box -> x of its middle."""
    found = ElementTree.fromstring(drawn).iter("{http://www.w3.org/2000/svg}text")
    return {e.text or "": float(e.get("x", "0")) for e in found if e.get("class") == "box-title"}


def test_layers_stand_under_their_input_and_the_rest_in_the_middle() -> None:
    record = {
        "inputs": [
            {"name": "fields", "form": "fields", "detail": "3 numbers"},
            {"name": "a.b", "form": "seq", "detail": ""},
        ],
        "layers": [layer("fields.one", "One"), layer("a.b.two", "Two"), layer("fuse.0", "Fuse"), layer("head", "Head")],
        "parameters": 40,
    }
    drawn = network_svg(record)
    place = boxes(drawn)
    assert place["fields"] == place["One"] < place["Fuse"] == place["Head"] < place["Two"] == place["a.b"]
    assert (
        ElementTree.fromstring(drawn).get("aria-label")
        == "The network: 2 inputs (fields, a.b), 4 layers, 40 parameters."
    )
    assert drawn.count('class="arrow-head"') == 5


def test_a_single_input_owns_what_is_not_the_head() -> None:
    record = {"inputs": [{"name": "fields"}], "layers": [layer("blocks.0", "Block"), layer("head", "Head")]}
    place = boxes(network_svg(record))
    assert place["fields"] == place["Block"] == place["Head"]


def test_deep_and_wide_networks_are_capped_and_say_so() -> None:
    deep = {"inputs": [{"name": "fields"}], "layers": [layer(f"fields.{k}") for k in range(100)]}
    assert "… 88 more layers …" in texts(network_svg(deep))
    quiet = {
        "inputs": [{"name": "fields"}],
        "layers": [layer(f"fields.{k}", parameters=0 if k % 5 else 7) for k in range(30)],
    }
    assert "and 24 without parameters" in texts(network_svg(quiet))
    wide = {"inputs": [{"name": f"column {k}"} for k in range(9)], "layers": []}
    assert "and 5 more inputs" in texts(network_svg(wide))


def test_names_are_text_only() -> None:
    word = "</text></svg><script>window.hit=1</script>\x00&"
    drawn = network_svg(
        {"inputs": [{"name": word, "form": word, "detail": word}], "layers": [layer(f"{word}.x", word)]}
    )
    assert "<script" not in drawn
    assert {e.tag.rsplit("}")[-1] for e in ElementTree.fromstring(drawn).iter()} == {"svg", "g", "rect", "text", "path"}


def test_nothing_known_draws_nothing() -> None:
    assert network_svg({}) == "" == network_svg({"inputs": None, "layers": "x"})
