"""What a depthwise convolution in front of a 1x1 one costs, roughly, and the room it takes."""

from arch.commands import SKIP_LIMIT
from arch.config import AcceleratorConfig, ceil_div
from arch.layers import ConvShape
from arch.post_timing import post_constant_words, post_cycles
from compiler.geometry import halo_size
from compiler.post_walk import kernel_columns


def fits_post_processor(shape: ConvShape, config: AcceleratorConfig) -> bool:
    """Whether the post-processor can compute this convolution: it is depthwise, one output channel
    for each input channel, with a kernel that there are multipliers, fields and parameters for."""
    window = shape.window
    return (
        shape.group_inputs == shape.group_outputs == 1
        and max(window.kernel) <= config.depthwise_kernel
        and window.dilation[1] == 1
        and window.stride[1] <= SKIP_LIMIT
        and depthwise_words(shape, config) <= config.parameter_words // 2
    )


def depthwise_words(shape: ConvShape, config: AcceleratorConfig) -> int:
    """Words of the parameter buffer that a block of a depthwise convolution takes."""
    return post_constant_words(config, operand=False, kernel_rows=shape.window.kernel[0])


class DepthwiseWork:
    """The work of making tiles of so many pixels, all channels of them.

    ``from_memory``: inputs are loaded, a group of channels at a time; else they are on chip.
    """

    def __init__(self, shape: ConvShape, *, from_memory: bool, config: AcceleratorConfig) -> None:
        self._shape = shape
        self._config = config
        self._from_memory = from_memory
        self.groups = ceil_div(shape.out_channels, config.cols)
        self._words = depthwise_words(shape, config)

    def fits(self, width: int) -> bool:
        """Whether a tile may be ``width`` pixels wide: loading some channels of some pixels of a
        row would take a command for each row."""
        return self.groups == 1 or not self._from_memory or width == self._shape.ofmap.width

    def slot_bytes(self, height: int, width: int) -> int:
        """Bytes of a slot of inputs, 0 if they need none."""
        channels = min(self._config.cols, self._shape.ifmap.channels)
        pixels = self._pixels(height, width) if self._from_memory else 0
        return pixels * channels * self._config.activation_bytes

    def post_cycles(self, height: int, width: int) -> int:
        """Cycles of the post-processor for a tile."""
        window = self._shape.window
        columns = height * kernel_columns(window, width)
        return self.groups * post_cycles(self._config, columns, window.kernel[0], self._words)

    def load_cycles(self, height: int, width: int) -> float:
        """Cycles of the memory's read side for a tile: parameters, and inputs, of which each pixel
        is a burst of its own if not all of its channels are loaded."""
        config = self._config
        rate = config.memory_bytes_per_cycle
        cycles = self.groups * self._words * config.bus_bytes / rate
        if self._from_memory:
            pixel = self._shape.ifmap.channels * config.activation_bytes / rate
            if self.groups > 1:
                # An address every other cycle, if enough bursts may be outstanding.
                burst = max(2, config.memory_latency / config.outstanding_bursts)
                pixel = max(pixel, burst * self.groups)
            cycles += self._pixels(height, width) * pixel
        return cycles

    def _pixels(self, height: int, width: int) -> int:
        rows, columns = halo_size(self._shape.window, self._shape.ifmap, height, width)
        return rows * columns
