"""The taps of a network such as SoundNet once more, for speed: the same numbers up to rounding, with fewer passes over memory.

Conventions: between the steps maps are *time-major*, ``(clips, time, maps)``, so that the stretch of input that a kernel sees
lies in one piece of memory and every convolution is a matrix product of overlapping rows of it. The rewrites are identities:
batch norm is folded into the convolution before it (no tap lies between them); one row serves several neighbouring outputs,
which saves most of the copying that rows cost; and in the first block ReLU and max pooling change places, since pooling first
leaves an eighth of the values.

A step says which stretch of its input one output needs (`frame`), how far the next one's lies (`hop`) and how many zeros
the whole input gets at either end (`padding`); `dha_utils.networks.streamed` runs the same steps on pieces of a long recording.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_weights

from dha_utils.networks.base import Network, check_waveforms

STRIDE = 2

ROW_VALUES = 2**18
"""Values of rows made at a time, about a megabyte of float32: they are used while they are still in the cache."""

MIN_ROWS = 8
"""Rows per matrix product, at least: for a few rows BLAS takes another algorithm, which rounds differently, and where an
average nearly cancels one would see in the responses how many clips shared a batch."""

COLUMNS = 128
"""Outputs times maps per row, at most, behind the first layer: more copies less and multiplies more zeros."""


class Convolution:
    """A convolution of stride 2 with its batch norm, as a matrix product.

    Parameters
    ----------
    weight : Tensor, shape (maps_out, maps_in, kernel)
    bias : Tensor, shape (maps_out,)
        Both with batch norm folded into them.
    names : sequence of str
        Of what it yields.
    padding : int
        Zeros at either end of the whole input.
    group : int
        Neighbouring outputs that one row of input serves.
    """

    def __init__(self, weight: Tensor, bias: Tensor, names: Sequence[str], padding: int, group: int):
        maps_out, maps_in, kernel = weight.shape
        self.frame, self.hop, self.padding, self.group = kernel, STRIDE, padding, group
        self.maps_in, self.maps_out, self.names = maps_in, maps_out, names
        # Column block j is the kernel as it meets the j-th output of a row.
        self.row = kernel + STRIDE * (group - 1)
        columns = weight.new_zeros(group, maps_out, self.row, maps_in)
        for j in range(group):
            columns[j, :, STRIDE * j : STRIDE * j + kernel] = weight.transpose(1, 2)
        self.columns = columns.reshape(group * maps_out, self.row * maps_in).T.contiguous()
        self.bias = bias

    def pieces(self, x: Tensor, n_rows: int) -> Iterator[tuple[tuple[slice, slice], Tensor]]:
        """Yield the rows of `x` in pieces, several clips or a part of one: which clips and rows, and their matrix."""
        width, hop = self.row * self.maps_in, STRIDE * self.group * self.maps_in
        n_clips, n_at_once = max(1, ROW_VALUES // (width * n_rows)), max(1, ROW_VALUES // width)
        for clip in range(0, len(x), n_clips):
            rows = x[clip : clip + n_clips].flatten(1).unfold(1, width, hop)
            for first in range(0, n_rows, n_at_once):
                end = min(first + n_at_once, n_rows)
                yield (slice(clip, clip + n_clips), slice(first, end)), rows[:, first:end].reshape(-1, width)

    def multiply(self, matrix: Tensor, out: Tensor) -> None:
        """Write the products of some rows into `out`, whose elements lie in the same order, one after another."""
        n_rows = len(matrix)
        if n_rows < MIN_ROWS:
            out.copy_((F.pad(matrix, (0, 0, 0, MIN_ROWS - n_rows)) @ self.columns)[:n_rows].view_as(out))
        else:
            torch.mm(matrix, self.columns, out=out.view(n_rows, -1))

    def convolve(self, x: Tensor, left: int, right: int) -> Tensor:
        """Return the normalised maps, time-major; `left`, `right`: zeros put before and after `x`."""
        n_outputs = (x.shape[1] + left + right - self.frame) // STRIDE + 1
        n_rows = -(-n_outputs // self.group)
        # The last row may reach beyond the end; what it finds there is cut off again.
        reach = STRIDE * self.group * (n_rows - 1) + self.row
        x = F.pad(x, (0, 0, left, reach - left - x.shape[1]))
        products = x.new_empty(len(x), n_rows, self.columns.shape[1])
        for place, matrix in self.pieces(x, n_rows):
            self.multiply(matrix, products[place])
        return products.view(len(x), -1, self.maps_out)[:, :n_outputs].add_(self.bias)

    def __call__(self, x: Tensor, left: int, right: int) -> Iterator[tuple[str, Tensor]]:
        """Yield what comes before and behind ReLU (the same memory), time-major; arguments as in `convolve`."""
        normalised, rectified = self.names
        maps = self.convolve(x, left, right)
        yield normalised, maps
        yield rectified, maps.relu_()


class OutputPaddedConvolution(Convolution):
    """A convolution of the released padding: zeros around its output, which batch norm turns into constants.

    Parameters
    ----------
    weight, bias, names, group
        As of `Convolution`.
    edge : Tensor, shape (positions, maps_out)
        What batch norm makes of the zeros at either end of the output.
    """

    def __init__(self, weight: Tensor, bias: Tensor, names: Sequence[str], group: int, edge: Tensor):
        super().__init__(weight, bias, names, 0, group)
        self.edge = edge

    def convolve(self, x: Tensor, left: int, right: int) -> Tensor:
        """Return the normalised maps of the whole input, time-major."""
        edge = self.edge.expand(len(x), -1, -1)
        return torch.cat([edge, super().convolve(x, left, right), edge], dim=1)


class PooledConvolution(Convolution):
    """The first block: a row serves all outputs of one pooling window, of which only the maximum is kept."""

    def __init__(self, weight: Tensor, bias: Tensor, names: Sequence[str], padding: int, group: int):
        super().__init__(weight, bias, names, padding, group)
        self.frame, self.hop = self.row, STRIDE * group

    def __call__(self, x: Tensor, left: int, right: int) -> Iterator[tuple[str, Tensor]]:
        """Yield what the pooling gives, time-major."""
        x = F.pad(x, (0, 0, left, right))
        pooled = x.new_empty(len(x), (x.shape[1] - self.frame) // self.hop + 1, self.maps_out)
        for place, matrix in self.pieces(x, pooled.shape[1]):
            products = matrix.new_empty(*pooled[place].shape[:2], self.group, self.maps_out)
            self.multiply(matrix, products)
            pooled[place] = largest(products)
        yield self.names[-1], pooled.add_(self.bias).relu_()


class Pooling:
    """Max pooling; values behind the last whole window are dropped."""

    padding = 0

    def __init__(self, size: int, name: str, maps_out: int):
        self.frame = self.hop = size
        self.name, self.maps_out = name, maps_out

    def __call__(self, x: Tensor, left: int, right: int) -> Iterator[tuple[str, Tensor]]:
        """Yield its maps, time-major."""
        n_windows = x.shape[1] // self.frame
        windows = x[:, : n_windows * self.frame].unflatten(1, (n_windows, self.frame))
        yield self.name, largest(windows)


Step = Convolution | Pooling


def largest(windows: Tensor) -> Tensor:
    """Return the maximum over axis 2 (a power of two) by halves, each contiguous, unlike a reduction over an inner axis."""
    while windows.shape[2] > 1:
        half = windows.shape[2] // 2
        windows = torch.maximum(windows[:, :, :half], windows[:, :, half:])
    return windows[:, :, 0]


class FusedTaps:
    """A function of waveforms that gives what `Network.features` gives, made once per network.

    Parameters
    ----------
    model : SoundNet
        Or another network of such blocks, of which the first pools, with its ``input_scale`` and ``padding``. In evaluation
        mode; later changes of its weights are not seen.
    device : torch.device or str
        Where it runs.
    dtype : torch.dtype
        In what precision it runs: float32, float16 or bfloat16. Batch norm is folded in float32.

    Attributes
    ----------
    steps : list of Convolution and Pooling
        In order; each yields its taps, time-major.
    padding : str
        Where the convolutions pad; see `dha_utils.networks.soundnet.PADDINGS`.
    names : set of str
        The modules whose output the steps give: not those of convolutions, nor of the first block but its pool.

    Examples
    --------
    >>> from dha_utils.networks.soundnet import SoundNet
    >>> _ = torch.manual_seed(0)
    >>> model = SoundNet().eval().requires_grad_(False)
    >>> waveforms = torch.sin(torch.arange(20_000.0))[None]
    >>> pairs = zip(model.features(waveforms), FusedTaps(model)(waveforms), strict=True)
    >>> all((fast - slow).abs().max() < 1e-5 * slow.abs().max() for (_, slow), (_, fast) in pairs)
    True
    """

    def __init__(
        self, model: Network, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
    ):
        self.device, self.dtype, self.padding = torch.device(device), dtype, model.padding
        self.taps, self.min_samples = frozenset(model.taps), model.min_samples
        self.steps: list[Step] = []
        self.names: set[str] = set()
        for conv, bn, (_, *names) in model.layers.values():
            is_first, kernel = not self.steps, conv.kernel_size[0]
            pool = model.get_submodule(names[-1])
            weight, bias = fuse_conv_bn_weights(
                conv.weight, conv.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
            )
            if is_first:
                weight = weight.detach() * model.input_scale
            weight, bias = weight.detach().to(device, dtype), bias.detach().to(device, dtype)
            if is_first and self.padding == "input":
                self.steps.append(PooledConvolution(weight, bias, names, conv.padding[0], pool.kernel_size))
                self.names.add(names[-1])
                continue
            self.names.update(names)
            # A row that serves g outputs is 2 (g - 1) longer than the kernel: long kernels bear more of that.
            group = max(1, min(COLUMNS // conv.out_channels, kernel // 4))
            if self.padding == "input":
                self.steps.append(Convolution(weight, bias, names[:2], conv.padding[0], group))
            else:
                zeros = bn(torch.zeros(1, conv.out_channels, conv.output_padding_each_side))[0].T
                edge = zeros.detach().to(device, dtype)
                self.steps.append(OutputPaddedConvolution(weight, bias, names[:2], group, edge))
            if isinstance(pool, nn.MaxPool1d):
                self.steps.append(Pooling(pool.kernel_size, names[-1], conv.out_channels))

    def prepare(self, waveforms: Tensor) -> Tensor:
        """Return waveforms (clips, samples) as the input of the first step, shape (clips, samples, 1)."""
        return waveforms.to(self.device, self.dtype).unsqueeze(2)

    def __call__(self, waveforms: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Yield ``(name, maps)`` as `Network.features` does; each tap is overwritten once the next is asked for."""
        check_waveforms(waveforms, self.min_samples)
        x = self.prepare(waveforms)
        for step in self.steps:
            for name, maps in step(x, step.padding, step.padding):
                x = maps
                if name in self.taps:
                    yield name, maps.transpose(1, 2)
