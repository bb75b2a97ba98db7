"""SoundNet-8 in PyTorch: the network, the names of its taps, and its input scale.

Conventions: a waveform batch is ``(clips, samples)``, mono, float32 in [-1, 1]; feature maps are
``(clips, maps, time)``. A *tap* is a point of the network whose feature maps are read; `TAPS` lists the 15 of
the layer-wise ensemble [1]_ from the input upwards, which are modules 4-24 of the original Torch model [2]_.

References
----------
.. [1] Singh, Thakur, Rajan, Bhavsar, "A Layer-wise Score Level Ensemble Framework for Acoustic Scene
   Classification", EUSIPCO 2018.
.. [2] Aytar, Vondrick, Torralba, "SoundNet: Learning Sound Representations from Unlabeled Video", NIPS 2016.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from dha_utils.errors import DataError, choose
from dha_utils.weights import fetch_weights

NATIVE_RATE = 22_050
"""Hz; the rate of the MP3s that SoundNet was trained on."""

INPUT_SCALE = 256.0
"""Waveforms in [-1, 1] are multiplied by this: SoundNet was trained on samples in [-256, 256]."""


class Layer(NamedTuple):
    """One convolutional block; stride is 2 throughout, `pool` is the max-pooling size (0: none)."""

    maps_in: int
    maps_out: int
    kernel: int
    padding: int
    pool: int


LAYERS = (
    Layer(1, 16, 64, 32, 8),
    Layer(16, 32, 32, 16, 8),
    Layer(32, 64, 16, 8, 0),
    Layer(64, 128, 8, 4, 0),
    Layer(128, 256, 4, 2, 4),
    Layer(256, 512, 4, 2, 0),
    Layer(512, 1024, 4, 2, 0),
)

TAP_MAPS = {
    "pool1": 16, "bn2": 32, "relu2": 32, "pool2": 32, "bn3": 64, "relu3": 64, "bn4": 128, "relu4": 128,
    "bn5": 256, "relu5": 256, "pool5": 256, "bn6": 512, "relu6": 512, "bn7": 1024, "relu7": 1024,
}  # fmt: skip
"""Number of feature maps at each tap; 4336 in all."""

TAPS = tuple(TAP_MAPS)
"""The 15 taps of the ensemble, from the input upwards."""

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


class SoundNet(nn.Module):
    """SoundNet-8: seven convolutional blocks and two heads.

    Each block is convolution (stride 2), batch normalisation, ReLU and, after blocks 1, 2 and 5, max pooling.

    Parameters
    ----------
    input_scale : float
        By which waveforms are multiplied.
    layers : sequence of Layer
        The blocks; a pruned network has fewer maps in them (`dha_utils.prune_network`).
    padding : str
        Where the convolutions pad, one of `PADDINGS`.

    Raises
    ------
    ParameterError
        If the padding is unknown.

    Examples
    --------
    >>> import torch
    >>> model = SoundNet().eval()
    >>> with torch.inference_mode():
    ...     taps = dict(model.taps(torch.zeros(2, 110_250)))
    >>> [(name, tuple(taps[name].shape)) for name in ("pool1", "relu4", "relu7")]
    [('pool1', (2, 16, 6890)), ('relu4', (2, 128, 109)), ('relu7', (2, 1024, 4))]
    """

    def __init__(
        self, input_scale: float = INPUT_SCALE, layers: Sequence[Layer] = LAYERS, padding: str = "input"
    ):
        super().__init__()
        check_padding(padding)
        self.input_scale = input_scale
        self.layers = tuple(layers)
        self.padding = padding
        for number, layer in enumerate(self.layers, 1):
            sizes = layer.maps_in, layer.maps_out, layer.kernel
            if padding == "input":
                conv = nn.Conv1d(*sizes, stride=2, padding=layer.padding)
            else:
                conv = OutputPaddedConv1d(*sizes, stride=2, padding=layer.padding // 2)
            self.add_module(f"conv{number}", conv)
            self.add_module(f"bn{number}", nn.BatchNorm1d(layer.maps_out, eps=1e-5))
        for head, classes in HEADS.items():
            self.add_module(head, nn.Conv1d(self.layers[-1].maps_out, classes, 8, stride=2))

    def stages(self, waveforms: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Yield ``(name, maps)`` after every module of the seven blocks, in order.

        Parameters
        ----------
        waveforms : Tensor, shape (clips, samples), float32
            Mono, in [-1, 1].

        Yields
        ------
        name : str
            ``conv1``, ``bn1``, ``relu1``, ``pool1``, ``conv2``, ...
        maps : Tensor, shape (clips, maps, time)

        Raises
        ------
        DataError
            If the waveforms are not a matrix or too short for the deepest layer.
        """
        check_waveforms(waveforms, self.padding)
        x = (waveforms * self.input_scale).unsqueeze(1)
        for number, layer in enumerate(self.layers, 1):
            x = self.get_submodule(f"conv{number}")(x)
            yield f"conv{number}", x
            x = self.get_submodule(f"bn{number}")(x)
            yield f"bn{number}", x
            x = F.relu(x)
            yield f"relu{number}", x
            if layer.pool:
                x = F.max_pool1d(x, layer.pool)
                yield f"pool{number}", x

    @property
    def tap_maps(self) -> dict[str, int]:
        """Number of this network's feature maps at each of `TAPS`."""
        return {tap: self.layers[layer_number(tap) - 1].maps_out for tap in TAPS}

    def taps(self, waveforms: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Yield ``(name, maps)`` for the names in `TAPS`; arguments and errors as in `stages`."""
        return ((name, maps) for name, maps in self.stages(waveforms) if name in TAP_MAPS)

    def forward(self, waveforms: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits of both heads.

        Parameters
        ----------
        waveforms : Tensor, shape (clips, samples), float32
            At least 209 374 samples (9.5 s at 22 050 Hz), so that the heads' kernels of 8 fit.

        Returns
        -------
        objects : Tensor, shape (clips, 1000, time)
        scenes : Tensor, shape (clips, 401, time)
        """
        *_, (_, maps) = self.stages(waveforms)
        return self.conv8_objects(maps), self.conv8_scenes(maps)


def layer_number(tap: str) -> int:
    """Return the number of the layer that a tap belongs to.

    Raises
    ------
    DataError
        If it names none.

    Examples
    --------
    >>> layer_number("pool1"), layer_number("relu7")
    (1, 7)
    """
    match = re.fullmatch(r"(?:conv|bn|relu|pool)(\d+)", tap)
    if match is None:
        raise DataError(
            f"tap {tap!r} names no layer of the network, expected a name such as pool1, bn2 or relu7"
        )
    return int(match[1])


def check_waveforms(waveforms: Tensor, padding: str = "input") -> None:
    """Raise a DataError unless `waveforms` is (clips, samples) and long enough for the deepest layer."""
    if waveforms.ndim != 2 or waveforms.shape[1] < PADDINGS[padding]:
        raise DataError(
            f"waveforms have shape {tuple(waveforms.shape)}, expected (clips, samples) with at least "
            f"{PADDINGS[padding]} samples: pad the clips to a longer duration"
        )


def load_soundnet(path: Path | None = None, *, padding: str = "input") -> SoundNet:
    """Return the pretrained SoundNet-8 in evaluation mode.

    Parameters
    ----------
    path : Path, optional
        A safetensors file of the weights; by default the cached one, which is fetched if it is not there yet.
    padding : str
        One of `PADDINGS`.

    Raises
    ------
    FetchError
        If the weights cannot be fetched or are not what was pinned.
    ParameterError
        If the padding is unknown.
    """
    model = SoundNet(padding=padding)
    # Batch norm's update counter is no weight: it exists in the module but not in the file.
    counters = {
        key: value for key, value in model.state_dict().items() if key.endswith("num_batches_tracked")
    }
    model.load_state_dict(load_file(path or fetch_weights()) | counters)
    return model.eval().requires_grad_(False)
