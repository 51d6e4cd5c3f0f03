"""Closed forms of the post-processor's timing, in clock cycles.

A post command is taken in cycle p. Its events follow at fixed distances:

- parameter word i is requested in p + 1 + i, for i in 0 ... ``parameter_block_words`` - 1;
- position w of output j's window is requested in p + ``post_first_position`` + j * P + w, with
  P = ``post_interval``;
- group g of output j is written in p + ``post_first_write`` + j * P + g;
- ``done`` is high in p + ``post_cycles``, and the next command is taken in the cycle after it at
  the earliest.
"""

from arch.config import AcceleratorConfig
from arch.timing import BUFFER_READ_LATENCY

REQUANTISE_LATENCY = 13
"""From an accumulator and its multiplier to the output element."""

POSITION_TO_WRITE = BUFFER_READ_LATENCY + 4 + REQUANTISE_LATENCY
"""From a window's last position to the write of its first group of columns: read, two stages of
pooling, split into groups, bias, requantise."""


def post_groups(config: AcceleratorConfig) -> int:
    """Groups of ``requantiser_lanes`` columns in an output."""
    return config.cols // config.requantiser_lanes


def post_interval(config: AcceleratorConfig, window: int) -> int:
    """Cycles from output to output, for ``window`` positions each: reading them, unless
    requantising all groups of columns takes longer."""
    return max(window, post_groups(config))


def post_first_position(config: AcceleratorConfig) -> int:
    """From a command's taking to the request of its first position."""
    return config.parameter_block_words + 2


def post_first_write(config: AcceleratorConfig, window: int) -> int:
    """From a command's taking to the write of its first group."""
    return post_first_position(config) + window - 1 + POSITION_TO_WRITE


def post_cycles(config: AcceleratorConfig, outputs: int, window: int) -> int:
    """From a command's taking to its ``done``, which follows the last group's write by one cycle.

    ``outputs`` is the number of (py, px), ``window`` that of (wy, wx), both at least 1. Written
    out: parameter_block_words + (outputs - 1) * max(window, G) + window + G + 21, with
    G = cols / requantiser_lanes. Neither padding, the source nor the number of channels matters.
    """
    last_output = (outputs - 1) * post_interval(config, window)
    return post_first_write(config, window) + last_output + post_groups(config)
