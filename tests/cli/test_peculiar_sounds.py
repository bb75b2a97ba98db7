"""What `dha inspect` passes, `extract`, `run`, `prune` and `predict` take; what it does not, they refuse alike."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cases import CASES as MADE_BY_OTHERS
from cases import GENERATORS, NEEDED, make_case
from peculiar import CASES, TONES, written
from typer.testing import CliRunner

from dha_utils.audio.inspection import check_sound, inspect_clips
from dha_utils.audio.waveforms import clip_waveforms, load_audio
from dha_utils.cli.main import app
from dha_utils.core.errors import AudioError
from dha_utils.core.paths import repository
from dha_utils.datasets import load_clips
from dha_utils.pruning import export
from dha_utils.pruning.compressor import load_waveforms
from dha_utils.responses.pooling import decode
from dha_utils.responses.table import Responses
from dha_utils.studies import inputs, product

RATE = 22_050


def call(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def write_table(folder, cases):
    """Write cases to a folder, and a table of them with two classes; return the table's path, and file names by case."""
    files = {name: f"{number:03d}.{CASES[name].ending}" for number, name in enumerate(cases)}
    for name, file in files.items():
        (folder / file).write_bytes(CASES[name].content())
    table = folder / "sounds.csv"
    pd.DataFrame(
        {"path": files.values(), "label": ["a", "b"] * (len(files) // 2) + ["a"] * (len(files) % 2)}
    ).to_csv(table, index=False)
    return table, files


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    return write_table(tmp_path_factory.mktemp("sounds"), CASES)


def outcome(use, *arguments) -> str:
    """Return what a use of a sound says against it; empty: nothing."""
    try:
        use(*arguments)
    except AudioError as error:
        return str(error)
    return ""


def test_inspection_names_the_faults_and_no_others(sounds):
    table, files = sounds
    report = inspect_clips(load_clips(table))
    expected = {files[name]: CASES[name].fault for name in files if CASES[name].fault}
    assert sorted(report.faults) == sorted(expected)
    for file, fault in expected.items():
        assert re.search(fault, report.faults[file])
    noted = [name for name in files if CASES[name].note == "several"]
    assert f"several sounds end to end, read as one ({len(noted)} of {len(files)} files: " in "\n".join(
        report.notes
    )


def test_whatever_is_computed_takes_what_inspection_passes(sounds):
    clips = load_clips(sounds[0])
    for row, path in enumerate(clips.table["path"]):
        one = clips.take([row])
        passes = outcome(check_sound, Path(path)) == ""
        for seconds in (0.3, 5.0):
            said = {
                "extract": outcome(lambda *how: list(decode(*how)), path, RATE, seconds),
                "run": outcome(lambda *how: list(clip_waveforms(*how)), one, RATE, seconds),
                "prune": outcome(load_waveforms, one, RATE, seconds),
                "predict": outcome(load_audio, path, RATE, seconds),
            }
            assert len(set(said.values())) == 1, (path, said)
            # What lies behind the seconds that are used is not decoded: a fault there is known to inspection alone.
            assert not any(said.values()) or not passes, (path, said)
        whole = outcome(lambda *how: list(decode(*how)), path, RATE, None)
        assert (whole == "") == passes, (path, whole)


def test_commands_go_on_without_what_cannot_be_used(sounds, tmp_path, monkeypatch, narrow_network):
    table, files = sounds
    n_good = sum(not case.fault for case in CASES.values())
    monkeypatch.setattr("dha_utils.responses.extraction.load_network", lambda **options: narrow_network)
    monkeypatch.setattr(inputs, "load_network", lambda *_: narrow_network)
    out = tmp_path / "responses.safetensors"
    assert (
        f"{len(files) - n_good} of the {len(files)} clips" in call("inspect", table).output.splitlines()[-1]
    )
    done = call("extract", table, "-o", out, "--duration", "0.5", "--skip-bad")
    assert done.exit_code == 0, done.output
    found = Responses.load(out)
    assert len(found) == n_good
    assert all(np.isfinite(found[tap]).all() for tap in found.taps)
    run = inputs.load_inputs(str(table), skip_bad=True, rates=[RATE], duration=0.5)
    assert f"{n_good} clips, decoded here" in run.source


PRUNED = (
    *("WAV: GSM", "WAV: size 0", "WAV: half the size", "WAV: two chunks of samples", "WAV: WAV twice"),
    *(
        "FLAC: FLAC of unknown length",
        "FLAC: FLAC twice",
        "Ogg: Ogg twice",
        "Ogg: Ogg without a mark of its end",
    ),
    *("MPEG: MP3 of varying rate without a count", "MPEG: MP3 twice", "others: CAF of unknown length"),
)


def test_a_network_is_made_from_them_and_hears_them(tmp_path, monkeypatch, narrow_network):
    table, files = write_table(tmp_path, PRUNED)
    monkeypatch.setattr(product, "load_network", lambda *_: narrow_network)
    read = {ending: export.FORMATS[ending] for ending in (".safetensors", ".skops")}
    monkeypatch.setattr(product, "FORMATS", read)
    assert call("inspect", table).exit_code == 0
    made = call("prune", table, "--keep", "8-16-10-8-8-8-6", "-o", tmp_path / "small.safetensors")
    assert made.exit_code == 0, made.output
    said = call("predict", tmp_path / "small.safetensors", *(tmp_path / file for file in files.values()))
    assert said.exit_code == 0, said.output
    assert len(said.output.splitlines()) == len(PRUNED)


MADE = {
    "mp3_without_length_header cbr": 4.075,
    "mp3_without_length_header vbr_loud_first": 4.075,
    "mp3_without_length_header vbr_quiet_first": 4.075,
    "flac_of_unknown_length": 1.0,
    "chained_streams ogg": 4.0,
    "chained_streams mp3": 4.0,
    "chained_streams flac": 4.0,
    "ogg_without_end": 2.0,
    "gsm_wav": 1.04,
    "wav_headers size_zero": 2.0,
    "wav_headers size_of_file": 2.0,
    "wav_headers size_half": 2.0,
    "wav_headers rf64_cut": "truncated: 44048 of the 88200 bytes of samples",
    "wav_headers rate_2e9": "its header says 2000000000 samples per second",
}
"""Generator of sounds and its argument -> the seconds of a file, or what is said of it."""


@NEEDED
def test_every_generator_has_its_tests():
    there = {path.parent.name for path in MADE_BY_OTHERS.glob("*/make.py")}
    assert there == GENERATORS.keys()
    for generator, file in GENERATORS.items():
        assert generator.partition("_")[0] in (repository() / file).read_text("utf-8")


@NEEDED
@pytest.mark.parametrize("made", MADE)
def test_generators_of_cases(tmp_path, monkeypatch, made):
    generator, *kind = made.split()
    make_case(monkeypatch, generator, tmp_path / "made", *kind)
    expected, path = MADE[made], next((tmp_path / "made" / "dog").glob("dog0.*"))
    report = inspect_clips(load_clips(tmp_path / "made"))
    if isinstance(expected, str):
        assert list(report.faults) == [f"dog/{path.name}"]
        assert expected in report.faults[f"dog/{path.name}"]
    else:
        assert report.faults == {}
        assert len(load_audio(path, RATE)) / RATE == pytest.approx(expected, abs=1e-3)


FORMATS_REFUSED = {
    r"cut_|only_header|rf64_cut|size_7eff|size_plus2|truncated.wav": "is truncated",
    r"aac|ac3|alac|amr|ch0|flacinogg|fmt_bits0|g72|html|lfs|opus.webm|rate0|truncated_header|tta|wma|wv": "is not a sound file",
    r"rate1.wav|rate2e9": "its header says",
    r"inf|nan": "are NaN or infinite",
    r"zero.wav": "holds no samples",
}
"""Names of files of the generator -> what is said of them; all others are read whole."""


OTHERS = repository() / "tests" / "written_by_others"
WRITTEN = {
    "bext.wav": "WAV: metadata before",
    "mp3_cbr_noxing.mp3": "MPEG: MP3 without a count",
    "mp3_noxing.mp3": "MPEG: MP3 of varying rate without a count",
    "mp3inwav.wav": "MPEG: MP3 in WAV",
    "ffmpeg aiff": "others: AIFF",
    "ffmpeg au": "others: AU of unknown length",
    "ffmpeg caf": "others: CAF of unknown length",
    "ffmpeg flac": "FLAC: FLAC of unknown length",
    "ffmpeg mp3": "MPEG: MP3 without a count",
    "ffmpeg ogg": "Ogg: Vorbis",
    "ffmpeg w64": "others: W64",
    "ffmpeg wav": "WAV: largest size",
    "sox aiff": "others: AIFF of unknown length",
    "sox flac": "FLAC: FLAC of unknown length",
    "sox wav": "WAV: largest size with a sign",
}
"""What ffmpeg and SoX are asked for, a file or a format to a pipe -> the case that has the same; the others are in `OTHERS`."""


def programs(command, **_):
    """Do what ffmpeg and SoX do for the generator of formats, where they are not there."""
    file = Path(command[-1])
    if command[-1] == "-":
        content = CASES[WRITTEN[f"{command[0]} {command[-2]}"]].content()
        return subprocess.CompletedProcess(command, 0, content)
    if file.name == "gsm.wav":
        content = written("WAV", "GSM610", TONES[:12_000], 8000)
    elif file.name in WRITTEN:
        content = CASES[WRITTEN[file.name]].content()
    else:
        content = (OTHERS / file.name).read_bytes()
    file.write_bytes(content)
    return subprocess.CompletedProcess(command, 0)


@NEEDED
def test_generator_of_formats(tmp_path, monkeypatch):
    if not (shutil.which("ffmpeg") and shutil.which("sox")):
        monkeypatch.setattr(subprocess, "run", programs)
    for path in make_case(monkeypatch, "audio_formats", tmp_path / "made").iterdir():
        fault = next((said for names, said in FORMATS_REFUSED.items() if re.match(names, path.name)), "")
        said = outcome(check_sound, path)
        assert re.match(f"{re.escape(str(path))}: .*{fault}" if fault else "$", said), said
        if not fault:
            seconds = 3.0 if path.name.startswith("concat") else 1.5 * (path.name != "one_sample.wav")
            assert len(load_audio(path, RATE)) / RATE == pytest.approx(seconds, abs=0.15), path.name
