"""Backbones of transformers as nets: what they give, what learns of them, and what is refused."""

import json
import os
import subprocess
import sys

import pytest
import torch
from tiny_checkpoints import SPECIAL, WORDS, checkpoint, original

from limpid.core.contracts import Size
from limpid.core.errors import BundleError, LimpidError, RequestError, RunError
from limpid.core.forms import Grid, GridShape, Seq, SeqShape
from limpid.nets import CATALOGUE
from limpid.nets.backbone import Backbone, BackboneSpec
from limpid.nets.backbone_plan import choose_training

pytestmark = pytest.mark.slow

VOCABULARY = len(SPECIAL) + len(WORDS) + 1
TOKENS = SeqShape(vocabulary=VOCABULARY, length=12)
PICTURES = GridShape(channels=3, height=16, width=16, mean=(120.0, 110.0, 90.0), std=(60.0, 50.0, 40.0))
SAMPLES = SeqShape(width=1, length=1200)
SPECTRA = GridShape(channels=1, height=16, width=20, mean=(0.0,), std=(1.0,))
SHAPES = {
    **dict.fromkeys(("bert", "distilbert", "roberta", "gpt2"), TOKENS),
    **dict.fromkeys(("vit", "convnext", "resnet"), PICTURES),
    **dict.fromkeys(("wav2vec2", "hubert"), SAMPLES),
    "ast": SPECTRA,
}
SIZE = Size(rows=2_000, outputs=3, task="classification")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Family -> folder, each made once."""
    made = {}

    def find(kind):
        if kind not in made:
            made[kind] = checkpoint(kind, tmp_path_factory.mktemp("checkpoints") / kind)
        return made[kind]

    return find


def planned(folder, shape, **options):
    return Backbone.plan(BackboneSpec(model=str(folder), **options), shape, SIZE)[0]


def made(folder, shape, **options):
    torch.manual_seed(0)
    return Backbone(planned(folder, shape, **options), shape)


def words(rows=5, length=12, seed=0):
    draw = torch.Generator().manual_seed(seed)
    lengths = torch.randint(2, length + 1, (rows, 1), generator=draw)
    tokens = torch.randint(1, VOCABULARY, (rows, length), generator=draw)
    mask = torch.arange(length) < lengths
    return Seq(mask=mask, tokens=tokens * mask)


def waves(rows=5, length=1200, seed=0):
    draw = torch.Generator().manual_seed(seed)
    lengths = torch.randint(500, length + 1, (rows, 1), generator=draw)
    lengths[:2] = 700
    mask = torch.arange(length) < lengths
    return Seq(mask=mask, values=(torch.randn(rows, length, generator=draw) * mask).unsqueeze(2))


def example(kind, rows=5):
    shape = SHAPES[kind]
    if shape is TOKENS:
        return words(rows)
    if shape is SAMPLES:
        return waves(rows)
    draw = torch.Generator().manual_seed(1)
    return Grid(torch.randn(rows, shape.channels, shape.height, shape.width, generator=draw))


def expected(kind, folder, form):
    """Features as transformers gives them, each example by itself where there is padding."""
    model = original(folder)
    with torch.no_grad():
        if kind in ("bert", "distilbert", "roberta", "gpt2"):
            rows = [form.tokens[n][form.mask[n]].unsqueeze(0) - 1 for n in range(len(form.tokens))]
            return torch.cat([model(input_ids=row).last_hidden_state.mean(dim=1) for row in rows])
        if kind in ("wav2vec2", "hubert"):
            rows = [form.values[n][form.mask[n]].squeeze(1) for n in range(len(form.values))]
            rows = [((r - r.mean()) / (r.var(correction=0) + 1e-7).sqrt()).unsqueeze(0) for r in rows]
            return torch.cat([model(input_values=row).last_hidden_state.mean(dim=1) for row in rows])
        if kind == "ast":
            spectrum = torch.nn.functional.pad(form.pixels[:, 0].transpose(1, 2), (0, 0, 0, 4))
            return model(spectrum).pooler_output
        stored = form.pixels * torch.tensor(PICTURES.std).view(-1, 1, 1) + torch.tensor(PICTURES.mean).view(-1, 1, 1)
        mean, std = torch.tensor([0.5, 0.4, 0.3]).view(-1, 1, 1), torch.tensor([0.2, 0.25, 0.3]).view(-1, 1, 1)
        output = model(pixel_values=(stored / 255 - mean) / std)
        return output.last_hidden_state[:, 0] if kind == "vit" else output.pooler_output.flatten(1)


@pytest.mark.parametrize("kind", SHAPES)
def test_features_are_those_of_transformers(kind, folders):
    net = made(folders(kind), SHAPES[kind], train="all").eval()
    form = example(kind)
    with torch.no_grad():
        ours = net(form)
    assert ours.shape == (5, net.width) and float(ours.std(dim=0).mean()) > 1e-3
    torch.testing.assert_close(ours, expected(kind, folders(kind), form), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["bert", "roberta", "gpt2", "wav2vec2", "hubert"])
def test_padding_never_changes_an_answer(kind, folders):
    net = made(folders(kind), SHAPES[kind], train="all").eval()
    form = example(kind)
    with torch.no_grad():
        together = net(form)
        for row in range(len(together)):
            length = int(form.mask[row].sum())
            cut = {"mask": form.mask[row : row + 1, :length]}
            part = (
                Seq(tokens=form.tokens[row : row + 1, :length], **cut)
                if form.tokens is not None
                else Seq(values=form.values[row : row + 1, :length], **cut)
            )
            torch.testing.assert_close(net(part)[0], together[row], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", SHAPES)
def test_a_bundles_settings_build_it_without_the_folder(kind, folders):
    net = made(folders(kind), SHAPES[kind], train="all").eval()
    settings = Backbone.portable(planned(folders(kind), SHAPES[kind], train="all").model_dump(mode="json"))
    assert str(folders(kind)) not in json.dumps(settings)
    again = Backbone(BackboneSpec(**json.loads(json.dumps(settings))), SHAPES[kind]).eval()
    again.load_state_dict(net.state_dict())
    form = example(kind)
    with torch.no_grad():
        assert torch.equal(again(form), net(form))
    assert not again.pretrained and net.pretrained


@pytest.mark.parametrize("kind", SHAPES)
def test_the_plan_leaves_no_auto_and_says_why(kind, folders):
    blank = BackboneSpec(model=str(folders(kind)))
    spec, because = Backbone.plan(blank, SHAPES[kind], SIZE)
    assert not spec.autos() and set(because) == set(blank.autos())
    assert all(len(reason) > 10 for reason in because.values())
    assert (
        len(spec.sha256) == 64
        and spec.config["model_type"] == json.loads((folders(kind) / "config.json").read_text())["model_type"]
    )
    again, nothing = Backbone.plan(spec, SHAPES[kind], Size(rows=3, outputs=2, task="classification"))
    assert again == spec and nothing == {}
    assert BackboneSpec.model_validate(json.loads(spec.model_dump_json())) == spec
    values, reasons = Backbone.train_defaults(spec, SHAPES[kind], SIZE)
    from limpid.planning.train_spec import TrainSpec

    TrainSpec.model_validate(values)
    assert set(values) == set(reasons)


@pytest.mark.parametrize("kind", SHAPES)
def test_a_gradient_reaches_every_weight_that_learns(kind, folders):
    net = made(folders(kind), SHAPES[kind], train="all").train()
    net(example(kind)).square().sum().backward()
    silent = [n for n, p in net.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    # A bias of keys cancels in every softmax; positions beyond the longest example and unseen tokens are rows of tables.
    assert [n for n in silent if not n.endswith(("key.bias", "k_proj.bias", "k_lin.bias", "attention.key.bias"))] == []
    assert net.flops() > 0


@pytest.mark.parametrize("kind", SHAPES)
def test_depths_hold_every_weight_once_from_the_last_layer_to_the_first(kind, folders):
    net = made(folders(kind), SHAPES[kind], train="all")
    found = net.depths()
    names = [name for names in found for name in names]
    assert sorted(names) == sorted(name for name, _ in net.named_parameters())
    assert len(found) >= 3
    layers = [int(n) for group in found for n in [next((p for p in group[0].split(".") if p.isdigit()), None)] if n]
    assert layers == sorted(layers, reverse=True) and len(layers) >= 2


def test_a_frozen_backbone_gives_the_same_features_whatever_the_mode(folders):
    net = made(folders("bert"), TOKENS, train="head")
    form = words()
    features = net.bottom(form)
    assert not features.requires_grad and net.frozen
    assert torch.equal(net.train()(form), net.eval()(form))
    assert not any(p.requires_grad for p in net.parameters())
    net.prepare_top(features)
    standard = net.top(features)
    torch.testing.assert_close(standard.mean(dim=0), torch.zeros(net.width), atol=1e-5, rtol=0)
    torch.testing.assert_close(standard.std(dim=0, correction=0), torch.ones(net.width), atol=1e-4, rtol=0)
    assert torch.equal(net(form), standard)
    assert net.still == {n for n, _ in (*net.named_parameters(), *net.body.named_buffers(prefix="body"))}


def test_adapters_begin_as_nothing_learn_alone_and_fold(folders):
    base = made(folders("bert"), TOKENS, train="all").eval()
    net = made(folders("bert"), TOKENS, train="adapters", rank=2).eval()
    form = words()
    with torch.no_grad():
        torch.testing.assert_close(net(form), base(form))
    learning = [n for n, p in net.named_parameters() if p.requires_grad]
    assert len(learning) == 2 * 2 * 3 and all("adapter_" in n for n in learning)
    assert {n.rpartition(".")[0].rpartition(".")[2] for n in learning} == {"query", "value"}
    optimiser = torch.optim.AdamW([p for p in net.parameters() if p.requires_grad], lr=0.01)
    before = {n: p.detach().clone() for n, p in net.named_parameters()}
    for _ in range(3):
        optimiser.zero_grad()
        net(form).square().mean().backward()
        optimiser.step()
    moved = {n for n, p in net.named_parameters() if not torch.equal(p.detach(), before[n])}
    assert moved == set(learning)
    with torch.no_grad():
        learnt = net(form)
        assert float((learnt - base(form)).abs().max()) > 1e-3
        net.fold()
        torch.testing.assert_close(net(form), learnt, rtol=1e-4, atol=1e-5)
        # The folded weights fit the plain model by their names.
        plain = {k: v for k, v in net.state_dict().items() if "adapter_" not in k}
        base.load_state_dict(plain)
        torch.testing.assert_close(base(form), learnt, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("rows", "seconds", "chosen"),
    [(100, None, "head"), (5_000, None, "all"), (5_000, 60.0, "adapters"), (5_000, 20.0, "head")],
)
def test_rows_and_time_choose_what_learns(rows, seconds, chosen):
    size = Size(rows=rows, outputs=2, task="classification", seconds=seconds, flops_per_second=1e11)
    flops = 4e7  # 4 s for one pass over 5,000 rows
    how, why = choose_training(flops, 1_000_000, size, adapters=True)
    assert how == chosen and len(why) > 10
    if chosen == "adapters":
        assert choose_training(flops, 1_000_000, size, adapters=False)[0] == "head"


def test_adapters_need_attention(folders):
    with pytest.raises(RequestError, match="no attention layers") as caught:
        planned(folders("convnext"), PICTURES, train="adapters")
    assert "net.train=all" in caught.value.fix


@pytest.mark.parametrize(
    ("kind", "shape", "what"),
    [
        ("bert", PICTURES, "reads words"),
        ("vit", TOKENS, "reads pictures"),
        ("wav2vec2", TOKENS, "reads sound"),
        ("bert", SAMPLES, "reads words"),
        ("vit", PICTURES.with_(height=24, width=24), "cannot read what it is given"),
        ("vit", GridShape(channels=1, height=16, width=16, mean=(1.0,), std=(1.0,)), "3 channels"),
        ("bert", SeqShape(vocabulary=500, length=8), "different tokens"),
        ("bert", SeqShape(vocabulary=VOCABULARY, length=99), "at most 32 tokens"),
        ("ast", SPECTRA.with_(height=40), "16 bands"),
    ],
)
def test_what_it_does_not_read_is_refused(kind, shape, what, folders):
    with pytest.raises(LimpidError, match=what):
        planned(folders(kind), shape)


def test_needs_are_said_for_the_kind_of_column(folders):
    def needs(kind):
        return Backbone.needs({"model": str(folders(kind))})

    assert needs("vit")["image"].options == {"channels": 3, "height": 16, "width": 16}
    words = needs("bert")["text"]
    assert words.options == {"unit": "backbone"} and words.most == {"max_tokens": 32}
    assert json.loads(words.fit["tokeniser"])["model"]["type"] == "WordPiece"
    assert needs("roberta")["text"].most == {"max_tokens": 32}, "two of its 34 positions are never used"
    assert needs("wav2vec2")["audio"].options == {"rate": 16_000}
    assert Backbone.needs({}) == {}


# -- what is refused ----------------------------------------------------------------------------------------------


def spoilt(folder, tmp_path):
    import shutil

    return shutil.copytree(folder, tmp_path / "spoilt")


def refused(folder, kind=LimpidError, shape=TOKENS):
    with pytest.raises(kind) as caught:
        Backbone(planned(folder, shape, train="all"), shape)
    assert all(part.strip() for part in caught.value.parts().values())
    return caught.value


def test_pickled_weights_are_refused(folders, tmp_path):
    folder = spoilt(folders("bert"), tmp_path)
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04cos\nsystem\n")
    error = refused(folder, RequestError)
    assert "pytorch_model.bin" in error.what and "pickle" in error.what and "save_pretrained" in error.fix
    (folder / "pytorch_model.bin").unlink()
    assert "no weights" in refused(folder, RequestError).what


def test_pickled_weights_beside_safetensors_are_not_read(folders, tmp_path):
    folder = spoilt(folders("bert"), tmp_path)
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04cos\nsystem\n")
    assert made(folder, TOKENS, train="all").width == 16


def edited(folder, **changes):
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config.update(changes)
    path.write_text(json.dumps({k: v for k, v in config.items() if v is not ...}))
    return folder


def test_code_of_a_checkpoint_is_never_run(folders, tmp_path):
    folder = edited(spoilt(folders("bert"), tmp_path), auto_map={"AutoModel": "evil.Evil", "AutoConfig": "evil.Evil"})
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Evil: pass\n")
    spec = planned(folder, TOKENS, train="all")
    assert Backbone(spec, TOKENS).width == 16
    assert "auto_map" not in spec.config
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"model_type": ...}, "names no model_type"),
        ({"model_type": "berd"}, "'bert' is spelt most like it"),
        ({"model_type": "timm_wrapper"}, "no model 'timm_wrapper'"),
        ({"model_type": 3}, "names no model_type"),
        ({"quantization_config": {"quant_method": "bitsandbytes"}}, "quantised"),
        ({"is_encoder_decoder": True}, "encoder with a decoder"),
        ({"vision_config": {}}, "several kinds of data"),
        ({"num_hidden_layers": 10**6}, "layers"),
        ({"hidden_size": 10**12}, "values that no configuration holds"),
        ({"hidden_act": "x" * 10_000}, "values that no configuration holds"),
        ({"hidden_act": "no such thing"}, "transformers says"),
        ({"num_attention_heads": 5}, "transformers says"),
        ({"hidden_size": 24, "num_attention_heads": 3}, "transformers says"),
        ({"num_hidden_layers": 5}, "are missing"),
        ({"num_attention_heads": 0}, "transformers says"),
        ({"hidden_size": "many"}, "transformers says"),
    ],
)
def test_configurations_that_cannot_be(changes, what, folders, tmp_path):
    error = refused(edited(spoilt(folders("bert"), tmp_path), **changes))
    assert what in error.what, error.what


def test_attention_is_chosen_here_and_not_by_the_checkpoint(folders, tmp_path):
    folder = edited(spoilt(folders("bert"), tmp_path), _attn_implementation="someone/kernel", attn_implementation="x/y")
    net = made(folder, TOKENS, train="all")
    assert net.body.model.config._attn_implementation == "sdpa"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"[" * 100_000, b"\xff\xfe", b'{"model_type": "bert"}garbage'])
def test_a_damaged_configuration(content, folders, tmp_path):
    folder = spoilt(folders("bert"), tmp_path)
    (folder / "config.json").write_bytes(content)
    assert "config.json" in str(refused(folder, BundleError)) or "JSON" in str(refused(folder, BundleError))


def test_damaged_weights(folders, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = spoilt(folders("bert"), tmp_path)
    file = folder / "model.safetensors"
    whole = file.read_bytes()
    for content in (whole[:-5], whole[:100], b"\x00" * 64, b"\xff" * 8 + whole[8:]):
        file.write_bytes(content)
        refused(folder, BundleError)
    file.write_bytes(whole)
    tensors = load_file(file)
    first = next(name for name in tensors if name.endswith("query.weight"))
    save_file({**tensors, first: torch.full_like(tensors[first], float("nan"))}, file, metadata={"format": "pt"})
    assert "not finite" in refused(folder, BundleError).what
    save_file({k: v for k, v in tensors.items() if k != first}, file, metadata={"format": "pt"})
    assert "missing" in refused(folder, BundleError).what
    save_file({**tensors, first: torch.zeros(3, 3)}, file, metadata={"format": "pt"})
    refused(folder, BundleError)


def test_indexes_lead_nowhere_else(folders, tmp_path):
    folder = spoilt(folders("bert"), tmp_path)
    (folder / "model.safetensors").rename(tmp_path / "outside.safetensors")
    index = folder / "model.safetensors.index.json"
    for names in ("../outside.safetensors", "/etc/passwd", 3):
        index.write_text(json.dumps({"weight_map": {"a": names}}))
        assert "does not list its files" in refused(folder, BundleError).what
    index.write_text(json.dumps({"weight_map": {"a": "absent.safetensors"}}))
    assert "absent.safetensors is missing" in refused(folder, BundleError).what


def test_shards_are_read(folders, tmp_path):
    folder = tmp_path / "sharded"
    original(folders("bert")).save_pretrained(folder, max_shard_size="10KB")
    assert len(list(folder.glob("*.safetensors"))) > 1
    form = words()
    with torch.no_grad():
        ours = made(folder, TOKENS, train="all").eval()(form)
    torch.testing.assert_close(ours, expected("bert", folders("bert"), form), rtol=1e-4, atol=1e-5)


def test_an_adapter_is_no_checkpoint(folders, tmp_path):
    folder = spoilt(folders("bert"), tmp_path)
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "someone/else"}))
    assert "adapter of another model" in refused(folder, RequestError).what


def test_a_changed_checkpoint_is_refused(folders, tmp_path):
    folder = spoilt(folders("bert"), tmp_path)
    spec = planned(folder, TOKENS, train="all")
    checkpoint("bert", folder, seed=3)
    with pytest.raises(RunError, match="other weights than when the plan was made"):
        Backbone(spec, TOKENS)


@pytest.mark.parametrize("named", ["./nowhere", "/no/such/place", "a/b/c", "with space", "\0", "-x"])
def test_paths_that_lead_nowhere(named):
    with pytest.raises(RequestError, match="no checkpoint at") as caught:
        planned(named, TOKENS)
    assert "check the path" in caught.value.fix


def test_a_net_without_a_checkpoint_asks_for_one():
    with pytest.raises(RequestError, match="needs a checkpoint") as caught:
        Backbone.plan(BackboneSpec(), TOKENS, SIZE)
    assert "net.model=FOLDER" in caught.value.fix


def test_a_name_that_the_hub_cannot_give_is_explained(tmp_path):
    code = (
        "from limpid.nets.backbone_files import Checkpoint\nfrom limpid.core.errors import RequestError\n"
        "try:\n    Checkpoint.find('someone/no-such-model', where='net.model')\n"
        "except RequestError as error:\n    print(error)\n"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert "no folder 'someone/no-such-model'" in done.stdout, done.stderr
    assert "fix:" in done.stdout and "without a network" in done.stdout


def test_without_transformers_the_command_is_said(monkeypatch):
    monkeypatch.setattr("limpid.nets.backbone_files.find_spec", lambda name: None)
    with pytest.raises(RequestError, match="not installed") as caught:
        Backbone.plan(BackboneSpec(model="x"), TOKENS, SIZE)
    assert caught.value.fix == "pip install 'limpid[hf]'"


def test_it_stands_in_the_catalogue_and_imports_nothing_heavy():
    assert "backbone" in CATALOGUE
    code = "import sys, limpid.nets.backbone; assert 'transformers' not in sys.modules and 'torchvision' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
