"""What refitting the whole network takes: ``DHA_DATA=... python benchmarks/refitting.py``.

The training clips of the first fold of ESC-10 (320 of 5 s at 22 050 Hz), decoded beforehand; a third of the computation is kept.
The obvious way, to compare with: the same least squares by `numpy.linalg.lstsq` on all windows of a layer, for conv3 alone.
"""

import resource
import time

import numpy as np

from dha_utils.core.paths import bundled
from dha_utils.datasets import load_clips
from dha_utils.networks.activations import layer_activations, windows
from dha_utils.networks.soundnet import load_soundnet
from dha_utils.pruning.compensation import compensate
from dha_utils.pruning.compressor import Compressor, Trial, load_waveforms
from dha_utils.responses.table import Responses
from dha_utils.studies.trials import SMALL

clips = load_clips("esc10")
training = clips.folds != 1
waveforms = load_waveforms(clips.take(training), 22_050, 5.0)
responses = Responses.load(bundled("esc10") / "responses_22050.safetensors").take(training)
model = load_soundnet()

start = time.perf_counter()
activations = layer_activations(model, waveforms)
after_activations = time.perf_counter()
compressor = Compressor(model, waveforms, responses, activations)
keep = compressor.keep(Trial("explained_variance", SMALL))
after_selection = time.perf_counter()
small = compensate(model, keep, activations)
end = time.perf_counter()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(f"{len(waveforms)} clips: through the full network {after_activations - start:.1f} s")
print(
    f"selection and allocation {after_selection - after_activations:.1f} s, refitting {end - after_selection:.1f} s"
)
print(f"in all {end - start:.1f} s; peak memory {peak:.2f} GiB")

conv = small.conv3
x_small = layer_activations(small, waveforms)[2]
start = time.perf_counter()
inputs = np.concatenate([w.numpy() for w in windows(x_small, conv)])
inputs = np.hstack([inputs, np.ones((len(inputs), 1), np.float32)])
full_conv = model.conv3
before = np.concatenate([w.numpy() for w in windows(activations[2], full_conv)])
targets = before @ model.conv3.weight[keep["conv3"]].flatten(1).T.numpy()
np.linalg.lstsq(inputs, targets, rcond=None)
print(f"conv3 alone by numpy.linalg.lstsq: {time.perf_counter() - start:.1f} s")
