"""SoundNet-8: the network, its taps, what its published weights and others' code say of it.

The 15 taps are those of the layer-wise ensemble [1]_ from the input upwards, modules 4-24 of the original Torch model [2]_.

References
----------
.. [1] Singh, Thakur, Rajan, Bhavsar, "A Layer-wise Score Level Ensemble Framework for Acoustic Scene
   Classification", EUSIPCO 2018.
.. [2] Aytar, Vondrick, Torralba, "SoundNet: Learning Sound Representations from Unlabeled Video", NIPS 2016.
"""

from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from dha_utils.core.errors import ParameterError, choose
from dha_utils.networks.base import Network, Taps
from dha_utils.networks.streamed import StreamedTaps
from dha_utils.networks.weights import fetch_weights

NATIVE_RATE = 22_050
"""Hz; the rate of the MP3s that SoundNet was trained on."""

INPUT_SCALE = 256.0
"""Waveforms in [-1, 1] are multiplied by this: SoundNet was trained on samples in [-256, 256]."""


class Block(NamedTuple):
    """One convolutional block; stride is 2 throughout, `pool` is the max-pooling size (0: none)."""

    maps: int
    kernel: int
    padding: int
    pool: int


BLOCKS = (
    Block(16, 64, 32, 8),
    Block(32, 32, 16, 8),
    Block(64, 16, 8, 0),
    Block(128, 8, 4, 0),
    Block(256, 4, 2, 4),
    Block(512, 4, 2, 0),
    Block(1024, 4, 2, 0),
)

TAP_MAPS = {
    "pool1": 16, "bn2": 32, "relu2": 32, "pool2": 32, "bn3": 64, "relu3": 64, "bn4": 128, "relu4": 128,
    "bn5": 256, "relu5": 256, "pool5": 256, "bn6": 512, "relu6": 512, "bn7": 1024, "relu7": 1024,
}  # fmt: skip
"""Number of feature maps at each tap; 4336 in all."""

TAPS = tuple(TAP_MAPS)
"""The 15 taps of the ensemble, from the input upwards."""

KERNELS = {
    "pool1": (5, 15), "bn2": (5, 8), "relu2": (5, 400), "pool2": (7, 15), "bn3": (5, 100), "relu3": (6, 10),
    "bn4": (4, 40), "relu4": (3, 50), "bn5": (10, 20), "relu5": (4, 20), "pool5": (8, 20), "bn6": (18, 50),
    "relu6": (3, 10), "bn7": (7, 3), "relu7": (5, 3),
}  # fmt: skip
"""Degree and gamma of each tap's kernel, set by hand in the released ensemble code."""

RELEASED_TAPS = ("relu3", "bn4", "relu4", "bn5", "relu5", "pool5", "bn6", "relu6", "bn7", "relu7")
"""The ten taps (modules 11-24) whose sum is the active line of the released ensemble code."""

HEADS = {"conv8_objects": 1000, "conv8_scenes": 401}
"""The two output heads: ImageNet objects and Places scenes."""

MIN_SAMPLES = 4_574
"""Shortest waveform, in samples, for which every tap has at least one time position."""

PADDINGS = {"input": MIN_SAMPLES, "released": 45_534}
"""Where a convolution pads -> shortest waveform. ``input``: its input, as SoundNet's own Torch model does. ``released``:
its output, before batch norm and by half as much on each side, as DHA's released extraction does; maps are as long, but
their ends are constants, and every kernel must fit into what the layer below gives."""


def check_padding(padding: str) -> None:
    """Raise a ParameterError unless `padding` is one of `PADDINGS`."""
    choose("padding", padding, PADDINGS)


class OutputPaddedConv1d(nn.Conv1d):
    """A convolution that puts zeros around its output instead of its input.

    Parameters
    ----------
    *args, **kwargs
        As of `torch.nn.Conv1d`, but that `padding` counts positions of the output.
    """

    def __init__(self, *args, padding: int, **kwargs):
        super().__init__(*args, **kwargs)
        self.output_padding_each_side = padding

    def forward(self, x: Tensor) -> Tensor:
        """Return maps (clips, maps_out, time) for `x` (clips, maps_in, time)."""
        return F.pad(super().forward(x), (self.output_padding_each_side,) * 2)


class SoundNet(Network):
    """SoundNet-8: seven convolutional blocks and two heads.

    Each block is convolution (stride 2), batch normalisation, ReLU and, after blocks 1, 2 and 5, max pooling: ``conv1``, ``bn1``,
    ``relu1``, ``pool1``, ``conv2``, ... The heads' kernels of 8 fit from 209 374 samples on (9.5 s at 22 050 Hz).

    Parameters
    ----------
    input_scale : float
        By which waveforms are multiplied.
    padding : str
        Where the convolutions pad, one of `PADDINGS`.

    Raises
    ------
    ParameterError
        If the padding is unknown.

    Examples
    --------
    >>> model = SoundNet().eval()
    >>> with torch.inference_mode():
    ...     taps = dict(model.features(torch.zeros(2, 110_250)))
    >>> [(name, tuple(taps[name].shape)) for name in ("pool1", "relu4", "relu7")]
    [('pool1', (2, 16, 6890)), ('relu4', (2, 128, 109)), ('relu7', (2, 1024, 4))]
    """

    def __init__(self, input_scale: float = INPUT_SCALE, padding: str = "input"):
        check_padding(padding)
        chain: dict[str, nn.Module] = {}
        maps_in = 1
        for number, block in enumerate(BLOCKS, 1):
            if padding == "input":
                conv = nn.Conv1d(maps_in, block.maps, block.kernel, stride=2, padding=block.padding)
            else:
                conv = OutputPaddedConv1d(
                    maps_in, block.maps, block.kernel, stride=2, padding=block.padding // 2
                )
            chain |= {
                f"conv{number}": conv,
                f"bn{number}": nn.BatchNorm1d(block.maps),
                f"relu{number}": nn.ReLU(),
            }
            if block.pool:
                chain[f"pool{number}"] = nn.MaxPool1d(block.pool)
            maps_in = block.maps
        heads = {head: nn.Conv1d(maps_in, classes, 8, stride=2) for head, classes in HEADS.items()}
        super().__init__(
            chain, TAPS, name="soundnet8", rate=NATIVE_RATE, min_samples=PADDINGS[padding], heads=heads, kernels=KERNELS,
            sums={"released": RELEASED_TAPS}, settings={"input_scale": input_scale, "padding": padding},
        )  # fmt: skip
        self.input_scale, self.padding = input_scale, padding

    def prepare(self, waveforms: Tensor) -> Tensor:
        """Return waveforms (clips, samples) on SoundNet's own scale, (clips, 1, samples)."""
        return (waveforms * self.input_scale).unsqueeze(1)

    def fast(self, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Taps:
        """Return the taps with fewer passes over memory, see `dha_utils.networks.fused`; long sounds in constant memory."""
        streamed = StreamedTaps(self, device, dtype)
        return streamed if streamed.names.issuperset(self.taps) else super().fast(device, dtype)

    def check_prunable(self) -> None:
        """Raise a ParameterError where convolutions do not pad as they were trained."""
        if self.padding != "input":
            raise ParameterError(
                f"a network with padding {self.padding!r} is for extraction alone: prune one with 'input'"
            )


def load_soundnet(
    path: Path | None = None, *, input_scale: float = INPUT_SCALE, padding: str = "input"
) -> SoundNet:
    """Return the pretrained SoundNet-8 in evaluation mode.

    Parameters
    ----------
    path : Path, optional
        A safetensors file of the weights; by default the cached one, which is fetched if it is not there yet.
    input_scale, padding
        As of `SoundNet`.

    Raises
    ------
    FetchError
        If the weights cannot be fetched or are not what was pinned.
    ParameterError
        If the padding is unknown.
    """
    model = SoundNet(input_scale, padding)
    # Batch norm's update counter is no weight: it exists in the module but not in the file.
    counters = {
        key: value for key, value in model.state_dict().items() if key.endswith("num_batches_tracked")
    }
    model.load_state_dict(load_file(path or fetch_weights()) | counters)
    return model.eval().requires_grad_(False)
