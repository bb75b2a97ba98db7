import errno
import os
import shutil
from unittest.mock import Mock

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

import dha_utils as dha
from dha_utils.cli.main import app
from dha_utils.core.errors import AudioError, DataError, ParameterError
from dha_utils.pruning import compressor as compression
from dha_utils.pruning.export import FORMATS, Format
from dha_utils.pruning.surgery import prune_network
from dha_utils.studies import product


def call(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def sounds(tmp_path):
    """Two classes of four recordings each: loud and soft noise."""
    rng = np.random.default_rng(0)
    for label, level in (("loud", 0.2), ("soft", 0.01)):
        (tmp_path / "sounds" / label).mkdir(parents=True)
        for number in range(4):
            path = tmp_path / "sounds" / label / f"{label}{number}.wav"
            soundfile.write(path, level * rng.normal(size=16_000), 16_000)
    return tmp_path / "sounds"


@pytest.fixture
def narrow(monkeypatch, random_network):
    counts = {"conv3": 16, "conv4": 12, "conv5": 12, "conv6": 12, "conv7": 10}
    model = prune_network(random_network, {layer: np.arange(n) for layer, n in counts.items()})
    monkeypatch.setattr(product, "load_network", lambda *_: model)


def test_prune_then_predict(sounds, narrow, tmp_path):
    out = tmp_path / "small.safetensors"
    made = call("prune", sounds, "--keep", "8-16-10-8-8-8-6", "--rate", 16000, "-o", out)
    assert made.exit_code == 0, made.output
    assert "fewer)" in made.output
    assert "network and classifiers, ONNX; clips of any length; differs from PyTorch by" in made.output
    names = {path.name for path in tmp_path.glob("small.*")}
    assert names == {f"small{suffix}" for suffix in FORMATS}

    said = call("predict", out, sounds / "loud" / "loud0.wav", sounds / "soft" / "soft0.wav", "--top", 1)
    assert said.exit_code == 0, said.output
    first, second = said.output.splitlines()
    assert "loud0.wav: loud " in first
    assert "soft0.wav: soft " in second
    assert "network" in first

    strange = sounds / "loud\x1b[31m\n.wav"
    shutil.copy(sounds / "loud" / "loud0.wav", strange)
    partly = call("predict", out, tmp_path / "none\n.wav", strange, sounds / "soft" / "soft0.wav")
    assert partly.exit_code == 1
    fault, named, good = partly.output.splitlines()
    assert fault.endswith(r"none\n.wav: no such file")
    assert r"loud\x1b[31m\n.wav: loud" in named
    assert "soft0.wav: soft" in good
    assert "every is 0.0, expected seconds" in call("predict", out, strange, "--every", 0).output
    empty = CliRunner().invoke(app, ["predict", str(out), "-", "--rate", "16000"], input=b"")
    assert (empty.exit_code, empty.output) == (1, "dha: stdin: holds no samples\n")

    loud, soft = (
        soundfile.read(sounds / kind / f"{kind}1.wav", dtype="int16")[0] for kind in ("loud", "soft")
    )
    long = tmp_path / "long.wav"
    soundfile.write(long, np.concatenate([np.tile(loud, 5), np.tile(soft, 6)]), 16_000)
    parts = call("predict", out, long, "--every", 6, "--top", 1).output.splitlines()
    assert [line.split(": ")[0].split("long.wav ")[1] for line in parts] == ["0.0 s", "6.0 s"]
    assert [line.split(": ")[1].split()[0] for line in parts] == ["loud", "soft"]
    stream = CliRunner().invoke(
        app, ["predict", str(out), "-", "--rate", "16000", "--every", "6"], input=np.tile(loud, 5).tobytes()
    )
    assert stream.output.startswith("stdin 0.0 s: loud ")
    assert len(stream.output.splitlines()) == 1
    assert (
        "a stream has no header that tells its rate: give --rate, in Hz" in call("predict", out, "-").output
    )

    again = call("prune", sounds, "-o", out)
    assert again.exit_code == 1
    assert "is there already; choose another name, or --force" in again.output


def test_a_network_of_ones_own_is_pruned_and_used_from_python(sounds, tmp_path):
    code = "import torch, dha_utils as dha\nfrom torch import nn\ndef build():\n    torch.manual_seed(0)\n"
    code += (
        "    module = nn.Sequential(nn.Conv1d(1, 6, 16, 8), nn.ReLU(), nn.Conv1d(6, 4, 8, 4), nn.ReLU())\n"
    )
    code += "    return dha.Network.wrap(module, (400,), rate=8_000)\n"
    (tmp_path / "mine.py").write_text(code)
    out = tmp_path / "small.safetensors"
    made = call("prune", sounds, "--network", f"{tmp_path}/mine.py:build", "--keep", "3-2", "-o", out)
    assert made.exit_code == 0, made.output
    network = dha.load_network(out)
    assert network.widths == {"0": 3, "2": 2}
    told = {name: network.metadata[name] for name in ("rate", "duration", "channel", "classes", "taps")}
    assert told == {
        "rate": 8_000, "duration": 5.0, "channel": "mean", "classes": ["loud", "soft"], "taps": ["1", "3"]
    }  # fmt: skip
    path = sounds / "loud" / "loud0.wav"
    said, samples = network.predict(path), soundfile.read(path)
    assert said.label == "loud"
    assert network.predict(*samples).scores == pytest.approx(said.scores, abs=1e-4)
    assert network.predict(np.stack([samples[0]] * 2, axis=1), 16_000).scores == pytest.approx(
        said.scores, abs=1e-4
    )
    with pytest.raises(ParameterError, match="rate is None: give that of the samples"):
        network.predict(samples[0])
    with pytest.raises(AudioError, match=r"none.wav: no such file"):
        network.predict(tmp_path / "none.wav")
    (tmp_path / "mine.py").rename(tmp_path / "moved.py")
    with pytest.raises(DataError, match=r"small.safetensors: not a network .* \(.*mine.py: no such file"):
        dha.load_network(out)
    assert dha.load_network(out, network=f"{tmp_path}/moved.py:build").widths == network.widths


def test_a_further_format_is_one_entry(sounds, narrow, tmp_path, monkeypatch):
    written = Format(
        "widths", lambda product, path: path.write_text(str(product.network.widths)) and "as text"
    )
    monkeypatch.setattr(product, "FORMATS", {".safetensors": FORMATS[".safetensors"], ".txt": written})
    size = ("--keep", "8-16-10-8-8-8-6", "--rate", 16000, "-o", tmp_path / "small.safetensors")
    (tmp_path / "small.txt").touch()
    assert "small.txt: is there already" in call("prune", sounds, *size).output
    assert "small.txt  0.0 MB  widths; as text" in call("prune", sounds, *size, "--force").output
    assert "'conv7': 6" in (tmp_path / "small.txt").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--keep", "1.5"], "size is '1.5', expected a fraction"),
        (["--keep", "0,35"], "write 0.35"),
        (["--keep", "0.001"], "a budget of 0.001 cannot be had: "),
        (["--keep", "16-32"], "size is '16-32', expected a fraction"),
        (["--rate", "100"], "parameter rate: expected"),
        (["-o", "small.bin"], "give a name that ends in .safetensors"),
        (["-o", "nowhere/small.safetensors"], "no such folder; make it first"),
        (["--classifier", "released"], "unknown classifier 'released'"),
        (["--compensation", "refited"], "unknown compensation 'refited' (did you mean 'refitted'?)"),
        (["--criterion", "anvoa"], "unknown criterion 'anvoa' (did you mean 'anova'?)"),
        (
            ["--criterion", "psnet"],
            "p-Snet's filters are channels of SoundNet-8, not of a conv3 with 16 maps",
        ),
    ],
)
def test_one_line_for_what_is_wrong(sounds, narrow, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    output = [] if "-o" in arguments else ["-o", "small.safetensors"]
    done = call("prune", sounds, *output, *arguments)
    assert done.exit_code == 1
    assert message in done.output.splitlines()[-1]
    assert "decoding" not in done.output
    assert list(tmp_path.glob("small.*")) == []


def test_no_audio(tmp_path, monkeypatch):
    monkeypatch.setenv("DHA_DATA", "")
    done = call("prune", "-o", tmp_path / "small.safetensors")
    assert done.exit_code == 1
    assert "the audio of ESC-10 is needed" in done.output


def test_predict_without_classifiers(random_network, tmp_path):
    from dha_utils.networks.registry import save_network

    save_network(tmp_path / "a.safetensors", random_network, {})
    done = call("predict", tmp_path / "a.safetensors", "x.wav")
    assert done.exit_code == 1
    assert "a.skops: no such file; the classifiers" in done.output


def test_waveforms_are_decoded_in_the_order_of_the_clips(sounds):
    from dha_utils.datasets import load_clips

    clips = load_clips(sounds)
    waveforms = compression.load_waveforms(clips, 16_000, 1.0)
    assert waveforms.shape == (8, 16_000)
    loud = waveforms.std(axis=1) > 0.1
    assert loud.tolist() == [label == "loud" for label in clips.table["label"]]


def test_a_kill_leaves_no_network_beside_the_classifiers_of_another(sounds, narrow, tmp_path, monkeypatch):
    out = tmp_path / "small.safetensors"

    def write(product, path):
        path.write_text(str(product.network.widths))

    monkeypatch.setattr(product, "FORMATS", {suffix: Format("", write) for suffix in FORMATS})
    how = ("prune", sounds, "--rate", 16000, "-o", out)
    assert call(*how, "--keep", "8-16-10-8-8-8-6").exit_code == 0
    whole = {path.name: path.read_text() for path in tmp_path.glob("small.*")}
    assert whole.keys() == {f"small{suffix}" for suffix in FORMATS}

    replaced = []

    def killed(made, file):
        if len(replaced) == 2:
            raise KeyboardInterrupt
        replaced.append(file)
        file.write_text("new")

    with monkeypatch.context() as patch:
        patch.setattr(product.os, "replace", killed)
        assert call(*how, "--keep", "8-16-10-8-8-8-5", "--force").exit_code == 130
    assert not out.exists()
    assert call(*how, "--keep", "8-16-10-8-8-8-6", "--force").exit_code == 0
    assert {path.name: path.read_text() for path in tmp_path.glob("*") if path.is_file()} == whole


def test_a_folder_that_cannot_be_written_is_refused_before_the_work(monkeypatch, tmp_path):
    monkeypatch.setattr(product, "load_network", None)
    (tmp_path / "out").mkdir()
    fault = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    monkeypatch.setattr("dha_utils.responses.outputs.probe_folder", Mock(side_effect=fault))
    result = call("prune", "esc10", "-o", tmp_path / "out" / "small.safetensors")
    assert result.exit_code == 1
    assert "small.safetensors: cannot be written (Permission denied); choose another file" in result.output
