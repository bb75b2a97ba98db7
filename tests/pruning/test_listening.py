import io
import math
import re
import time

import numpy as np
import pytest
import soundfile

from dha_utils.core.errors import AudioError, ParameterError
from dha_utils.pruning import listening
from dha_utils.pruning.listening import Listener, read_samples

N_SAMPLES = 8_000
METADATA = {"rate": 16_000, "duration": 0.5, "channel": "mean", "classes": ["loud", "soft"]}


@pytest.fixture(scope="module")
def listener(small, ensemble_of):
    return Listener(small, METADATA, ensemble_of(METADATA["classes"]))


def noise(seconds, level, seed=5):
    return (level * np.random.default_rng(seed).normal(size=round(16_000 * seconds))).astype(np.float32)


def test_predictions(listener, tmp_path):
    for name, level in (("loud", 0.1), ("soft", 0.01)):
        soundfile.write(tmp_path / f"{name}.wav", noise(0.5, level), 16_000, subtype="FLOAT")
        said = listener.predict(tmp_path / f"{name}.wav")
        assert said.top(1)[0][0] == said.label == name
        assert said.path.endswith(f"{name}.wav")
        assert sum(said.scores.values()) == pytest.approx(1)
        assert list(said.seconds) == ["decoding", "network", "classifiers"]
        assert listener.predict(noise(0.5, level), 16_000).scores == said.scores
    with pytest.raises(AudioError, match=r"none.wav: no such file"):
        listener.predict(tmp_path / "none.wav")
    with pytest.raises(ParameterError, match="rate is None: give that of the samples"):
        listener.predict(noise(0.5, 1.0))


def test_times_of_the_first_sound_are_without_what_is_done_once(small, ensemble_of, monkeypatch):
    waits, pool = [0.5], listening.pool_maps

    def slow_at_first(*arguments):
        time.sleep(waits.pop() if waits else 0)
        return pool(*arguments)

    monkeypatch.setattr(listening, "pool_maps", slow_at_first)
    listener = Listener(small, METADATA, ensemble_of(METADATA["classes"]))
    assert listener.predict(noise(0.5, 0.1), 16_000).seconds["network"] < 0.5


@pytest.mark.parametrize("block", [1_000, 7_777, 100_000])
def test_a_stream_is_the_clips_in_it_however_it_comes(listener, block):
    stream = np.concatenate([noise(1.0, 0.1), noise(1.1, 0.01)])
    blocks = [stream[start : start + block] for start in range(0, len(stream), block)]
    heard = list(listener.listen(blocks, 16_000, every=0.25))
    starts = [*np.arange(0, 1.6, 0.25), 1.6]  # the last clip ends where the stream ends
    assert [said.start for said in heard] == pytest.approx(starts)
    for said in heard:
        clip = stream[round(16_000 * said.start) :][:N_SAMPLES]
        assert said.scores == listener.predict(clip, 16_000).scores
    assert [said.label for said in heard[:3]] == ["loud"] * 3
    assert [said.label for said in heard[-2:]] == ["soft"] * 2


def test_clips_may_lie_apart_and_come_at_another_rate(listener):
    stream = noise(3.0, 0.1)
    heard = list(listener.listen(iter(np.array_split(stream, 11)), 16_000, every=1.0))
    assert [said.start for said in heard] == [0, 1, 2, 2.5]
    assert [said.start for said in listener.listen([stream], 32_000, every=1.0)] == [0, 1]


def test_a_short_stream_is_padded_and_an_empty_one_refused(listener):
    (said,) = listener.listen([noise(0.1, 0.1)], 16_000)
    assert said.scores == listener.predict(noise(0.1, 0.1), 16_000).scores
    with pytest.raises(AudioError, match="the stream: holds no samples"):
        list(listener.listen([], 16_000))


def test_what_is_no_stream_is_refused(listener):
    for every in (0, -1.0, math.nan, math.inf):
        with pytest.raises(ParameterError, match=f"every is {every}, expected seconds above 0"):
            next(listener.listen([noise(1.0, 0.1)], 16_000, every=every))
    for rate in (0, -1.0, math.nan, math.inf, 1e12):
        with pytest.raises(
            ParameterError, match=re.escape(f"rate is {rate!r}, expected that of the samples, 1")
        ):
            next(listener.listen([noise(1.0, 0.1)], rate))
    with pytest.raises(AudioError, match=r"a block of the stream has shape \(4, 2\) and type float64"):
        next(listener.listen([np.zeros((4, 2))], 16_000))
    with pytest.raises(AudioError, match=r"type int16, expected \(samples,\) in \[-1, 1\]"):
        next(listener.listen([np.zeros(4, np.int16)], 16_000))


def test_samples_of_a_microphone():
    numbers = np.arange(-3_000, 3_001, dtype="<i2")
    parts = list(read_samples(io.BytesIO(numbers.tobytes() + b"\x01"), 16_000))
    assert max(map(len, parts)) == 1_600
    np.testing.assert_array_equal(np.concatenate(parts) * 32768, numbers)
