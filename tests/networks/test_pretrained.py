"""Trained weights of torchvision and timm: from their caches, refused by their hashes, and out of reach."""

import hashlib
import io
import sys
from pathlib import Path
from urllib.parse import urlparse

import huggingface_hub
import pytest
import safetensors.torch
import timm
import torch
import torchvision
from torch import nn

from featherweight.blocks import ImageClassifier
from featherweight.networks import FetchError, WeightsWarning, create, load_weights, network, networks, on_meta_device
from featherweight.networks._checkpoints import COUNTERS
from featherweight.networks._counterparts import COUNTERPARTS, counterparts
from featherweight.networks._structure import ends

NOWHERE = "http://127.0.0.1:9"  # nobody listens there


@pytest.fixture
def hub_of_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which torch.hub keeps what it fetched; beyond it there is no way."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for variable in ("https_proxy", "http_proxy"):
        monkeypatch.setenv(variable, NOWHERE)
    monkeypatch.delenv("no_proxy", raising=False)
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def hub_of_timm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the hub keeps what it fetched; beyond it there is no way."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return tmp_path


def calibrated_like(model: nn.Module) -> nn.Module:
    """Give batch norms statistics of their own, so that outputs tell weights apart."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return model.eval()


def cached_by_torch(folder: Path, name: str) -> nn.Module:
    """Put a network of torchvision, untrained, where its trained weights would be."""
    theirs = calibrated_like(torchvision.models.get_model(name, weights=None))
    url = torchvision.models.get_model_weights(name).DEFAULT.url
    torch.save(theirs.state_dict(), folder / Path(urlparse(url).path).name)
    return theirs


def cached_by_hub(folder: Path, name: str) -> nn.Module:
    """Put a network of timm, untrained, where its trained weights would be."""
    theirs = calibrated_like(timm.create_model(name))
    place = folder / f"models--{timm.get_pretrained_cfg(name).hf_hub_id.replace('/', '--')}"
    content, commit = safetensors.torch.save(theirs.state_dict()), "0" * 40
    blob = place / "blobs" / hashlib.sha256(content).hexdigest()
    for part in ("blobs", "refs", f"snapshots/{commit}"):
        (place / part).mkdir(parents=True)
    blob.write_bytes(content)
    (place / "refs" / "main").write_text(commit)
    (place / "snapshots" / commit / "model.safetensors").symlink_to(blob)
    return theirs


@torch.no_grad()
def same_outputs(ours: nn.Module, theirs: nn.Module) -> bool:
    pixels = torch.randn(2, 3, 48, 48)
    return torch.allclose(ours.eval()(pixels), theirs(pixels), atol=1e-5)


def test_from_torchvision(hub_of_torch: Path) -> None:
    theirs = cached_by_torch(hub_of_torch, "mobilenet_v3_small")
    assert same_outputs(create("mobilenet_v3_small", weights="torchvision"), theirs)


def test_from_timm(hub_of_timm: Path) -> None:
    theirs = cached_by_hub(hub_of_timm, "mobilenetv2_050")
    assert same_outputs(create("mobilenet_v2", width=0.5, dropout=0.1, weights="timm"), theirs)


def test_from_a_file(hub_of_torch: Path) -> None:
    theirs = cached_by_torch(hub_of_torch, "mobilenet_v2")
    (path,) = hub_of_torch.iterdir()
    assert same_outputs(create("mobilenet_v2", weights=path), theirs)


def test_other_channels_and_classes_are_said_aloud(hub_of_torch: Path) -> None:
    theirs = cached_by_torch(hub_of_torch, "mobilenet_v2")
    with pytest.warns(WeightsWarning) as warned:
        model = create("mobilenet_v2", num_classes=7, in_channels=1, small_input=True, weights="torchvision")
    first, second = (str(each.message) for each in warned)
    assert first.startswith("weights from torchvision's mobilenet_v2: first layer stem.conv.weight: for 3 channels")
    assert second.endswith("classifier classifier.1: for 1000 classes there, 7 here, freshly drawn")
    assert {each.filename for each in warned} == {__file__}
    assert model.num_classes == 7
    last = theirs.features[-1][0].weight
    assert torch.equal(model.body[-1].conv.weight, last)
    with pytest.warns(WeightsWarning):
        features = create("mobilenet_v2", in_channels=1, features_only=True, weights="torchvision")
    assert torch.equal(features.body[-1].conv.weight, last)


def test_tensorflow_s_padding_is_said_aloud(hub_of_timm: Path) -> None:
    theirs = cached_by_hub(hub_of_timm, "tf_mobilenetv3_small_minimal_100")
    with pytest.warns(
        WeightsWarning, match=r"'SAME' padding: outputs are equal at sides of 32 n \+ 1 \(225,"
    ) as warned:
        ours = create("mobilenet_v3_small", minimalistic=True, weights="timm").eval()
    assert {each.filename for each in warned} == {__file__}
    with torch.no_grad():
        for side, equal in ((65, True), (64, False)):
            pixels = torch.randn(1, 3, side, side)
            assert torch.allclose(ours(pixels), theirs(pixels), atol=1e-4) == equal


@pytest.mark.parametrize(
    ("library", "name", "options", "message"),
    [
        (
            "torchvision",
            "mobilenet_v2",
            {"width": 0.5},
            r"torchvision has no trained mobilenet_v2\(width=0.5\); it has mobilenet_v2, and timm has "
            r"mobilenet_v2\(width=0.5\), mobilenet_v2, mobilenet_v2\(width=1.4\)",
        ),
        (
            "torchvision",
            "shufflenet_v2",
            {},
            r"no trained shufflenet_v2; it has shufflenet_v2\(width=0.5, split='equal",
        ),
        ("timm", "shufflenet_v1", {"num_classes": 3}, "timm has no trained shufflenet_v1; it has those of .*ghostnet,"),
    ],
)
def test_what_a_library_does_not_have_is_answered_with_what_it_has(
    library: str, name: str, options: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        create(name, weights=library, **options)


def test_unknown_weights_are_answered_with_the_known_ones() -> None:
    with pytest.raises(FileNotFoundError, match=r"no such file: torchvison; weights is torchvision, timm, or a file's"):
        create("mobilenet_v2", weights="torchvison")


@pytest.mark.usefixtures("hub_of_torch")
def test_torchvision_out_of_reach(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(FetchError) as raised:
        create("mobilenet_v2", weights="torchvision")
    message = str(raised.value)
    assert message.startswith(
        "the weights of torchvision's mobilenet_v2 could not be fetched from https://download.pytorch.org/models/"
    )
    assert message.endswith("Connection refused>. With the file at hand: weights='PATH'")
    assert "\n" not in message
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("hub_of_timm")
def test_timm_s_hub_out_of_reach() -> None:
    message = (
        r"^the weights of timm's ghostnet_100 could not be fetched from https://huggingface.co/timm/ghostnet_100\S+"
    )
    with pytest.raises(FetchError, match=message + r": .*With the file at hand: weights='PATH'$"):
        create("ghostnet", weights="timm")


@pytest.mark.usefixtures("hub_of_torch")
def test_timm_s_release_out_of_reach() -> None:
    with pytest.raises(
        FetchError, match=r"timm's legacy_xception could not be fetched from https://github.com/.*refused"
    ):
        create("xception", weights="timm")


@pytest.mark.usefixtures("hub_of_torch")
@pytest.mark.parametrize(("library", "name"), [("torchvision", "squeezenet"), ("timm", "xception")])
def test_what_came_is_held_against_its_hash(library: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Answer(io.BytesIO):
        def info(self) -> dict[str, str]:
            return self

        def get_all(self, name: str) -> None:
            return None

    monkeypatch.setattr("torch.hub.urlopen", lambda request: Answer(b"something else"))
    with pytest.raises(FetchError, match=rf"what came from https://\S+ is not {library}'s \w+: invalid hash value"):
        create(name, weights=library)


def test_a_changed_file_of_the_hub_is_refused(hub_of_timm: Path) -> None:
    cached_by_hub(hub_of_timm, "mobilenetv2_050")
    (blob,) = hub_of_timm.glob("*/blobs/*")
    content = bytearray(blob.read_bytes())
    content[-1] ^= 1
    blob.write_bytes(content)
    with pytest.raises(FetchError, match=rf"{blob.name} is not timm's mobilenetv2_050: its SHA-256 is"):
        create("mobilenet_v2", width=0.5, weights="timm")


@pytest.mark.parametrize("entry", list(networks()), ids=lambda entry: entry.name)
def test_the_classifier_comes_last_and_the_first_layer_reads_the_picture(entry) -> None:
    """What `adapt` relies on."""
    with on_meta_device():
        model = create(entry.name, in_channels=5)
    assert isinstance(model, ImageClassifier)
    found, names = ends(model), [name for name in model.state_dict() if not name.endswith(COUNTERS)]
    assert tuple(names[len(names) - len(found.classifier) :]) == found.classifier
    assert found.stem is None or model.get_parameter(found.stem).shape[1] == 5


def test_names_and_options_of_the_table_are_ours() -> None:
    for counterpart in COUNTERPARTS:
        network(counterpart.name).check_options(counterpart.options)
        assert counterpart in counterparts(counterpart.name, {**counterpart.options, "num_classes": 3, "dropout": 0.0})


def test_without_timm_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ImportError, match=r"needs the package 'timm', .*pip install 'featherweight\[timm\]'"):
        create("ghostnet", weights="timm")


def test_a_saved_network_does_not_depend_on_where_its_weights_came_from(hub_of_torch: Path) -> None:
    theirs = cached_by_torch(hub_of_torch, "squeezenet1_1")
    model = create("squeezenet", version="1.1", weights="torchvision")
    assert model.options == {"version": "1.1"}
    again = create("squeezenet", version="1.1")
    load_weights(again, model.state_dict())
    assert same_outputs(again, theirs)
