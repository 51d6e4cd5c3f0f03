"""Closed forms of the post-processor's timing, in clock cycles.

A post command is taken in cycle p. Its events follow at fixed distances:

- word i of its parameters, and of its second operand's constants if it has one, is requested in
  p + 1 + i, for i in 0 ... ``post_constant_words`` - 1;
- position w of window j is requested in p + ``post_first_position`` + j * P + w, with
  P = ``post_interval``;
- the second operand of group g of window j's output is requested in
  p + ``post_first_operand`` + j * P + g;
- group g of window j's output is written in p + ``post_first_write`` + j * P + g;
- ``done`` is high in p + ``post_cycles``; the last position was requested ``drain_to_done`` cycles
  before;
- the next command is taken ``post_overlap`` cycles before ``done`` at the earliest: its constants
  are read while the last results are on their way.

The array and the post-processor hand the halves of the accumulators to each other with as little
delay: an execute command's ``done`` comes ``execute_done_latency`` cycles after its last vector.
"""

from arch.config import AcceleratorConfig
from arch.timing import BUFFER_READ_LATENCY, execute_latency

REQUANTISE_LATENCY = 13
"""From an accumulator and its multiplier to the requantised value."""

OPERAND_LATENCY = 11
"""From a requantised value and its second operand to the output element."""


def table_latency(config: AcceleratorConfig) -> int:
    """From an output element to what the table has for it: three stages, and two more where
    16-bit elements are interpolated."""
    return 3 if config.activation_bits == 8 else 5


def product_latency(config: AcceleratorConfig) -> int:
    """From a position's data to the pool unit: a stage for products where there are any."""
    return 1 if config.depthwise_kernel else 0


def position_to_write(config: AcceleratorConfig) -> int:
    """From a window's last position to the write of its first group of columns: read, products,
    two stages of pooling, split into groups, bias, requantise, second operand, table."""
    stages = BUFFER_READ_LATENCY + product_latency(config) + 4
    return stages + REQUANTISE_LATENCY + OPERAND_LATENCY + table_latency(config)


def operand_to_write(config: AcceleratorConfig) -> int:
    """From the request of a group's second operand to the group's write."""
    return BUFFER_READ_LATENCY + OPERAND_LATENCY + table_latency(config)


def post_groups(config: AcceleratorConfig) -> int:
    """Groups of ``requantiser_lanes`` columns in an output."""
    return config.cols // config.requantiser_lanes


def post_interval(config: AcceleratorConfig, window: int) -> int:
    """Cycles from window to window, for ``window`` positions each: reading them, unless
    requantising all groups of columns takes longer."""
    return max(window, post_groups(config))


def post_constant_words(config: AcceleratorConfig, *, operand: bool, kernel_rows: int) -> int:
    """Words of constants that a command reads; ``operand``: it has a second operand;
    ``kernel_rows``: of its products, 0 without."""
    return (
        config.parameter_block_words
        + (config.operand_block_words if operand else 0)
        + (config.product_words(kernel_rows) if kernel_rows else 0)
    )


def post_first_position(constants: int) -> int:
    """From a command's taking to the request of its first position; ``constants``: the words that
    ``post_constant_words`` gives."""
    return constants + 2


def post_first_write(config: AcceleratorConfig, window: int, constants: int) -> int:
    """From a command's taking to the write of its first group."""
    return post_first_position(constants) + window - 1 + position_to_write(config)


def post_first_operand(config: AcceleratorConfig, window: int, constants: int) -> int:
    """From the taking of a command with a second operand to its first group's request."""
    return post_first_write(config, window, constants) - operand_to_write(config)


def post_cycles(config: AcceleratorConfig, windows: int, window: int, constants: int) -> int:
    """From a command's taking to its ``done``, which follows the last group's write by one cycle.

    ``windows`` is the number of (py, px), ``window`` that of (wy, wx), both at least 1;
    ``constants`` the words of constants. Written out: constants + (windows - 1) * max(window, G) +
    window + G + 35 (37 for 16-bit activations, one more where there are products), with G = cols /
    requantiser_lanes. Neither padding, the source, the number of channels, a table, which windows
    give outputs nor whether the first window continues one matters.
    """
    last_window = (windows - 1) * post_interval(config, window)
    return post_first_write(config, window, constants) + last_window + post_groups(config)


def drain_to_done(config: AcceleratorConfig) -> int:
    """From a command's last position to its ``done``. From the cycle after the former on, nothing
    more of its source is read."""
    return position_to_write(config) + post_groups(config)


def post_overlap(config: AcceleratorConfig) -> int:
    """How long before a command's ``done`` the next one may be taken.

    So long that the next one's first position is requested in the cycle after ``done``, if it has
    the fewest constants: it then sees all that the former one has written. But not before the
    former one's last second operand was requested: constants that come behind that are not its own.
    """
    return min(post_first_position(config.parameter_block_words) - 1, operand_to_write(config))


def execute_done_latency(config: AcceleratorConfig) -> int:
    """From an execute command's last vector to its ``done``, at least 1: a post command that is
    taken in the cycle after ``done`` requests its first position when all sums are in."""
    return max(1, execute_latency(config) - post_first_position(config.parameter_block_words) - 1)
