"""Where a machine's array and activation buffer stand on an ECP5-85F.

Left to itself, nextpnr puts multipliers and block RAMs wherever one is free once most are taken, up
to half the device away from what they belong to, and the wires between crowd out the rest. Both
parts are regular, and so is the device: neighbours can be neighbours there.
"""

from arch.config import AcceleratorConfig, ceil_div
from arch.errors import ConfigError

# Columns and rows as nextpnr's database has them for the LFE5U-85F: 13 blocks in a row, of 4
# MULT18X18D or 4 DP16KD.
_BLOCKS = (4, 13, 22, 31, 40, 49, 58, 69, 78, 87, 96, 105, 114)

_MULTIPLIER_ROWS = (10, 34, 58)
_MULTIPLIERS = ((0, 0), (1, 1), (4, 4), (5, 5))
"""In a block: columns behind its own, and number in nextpnr's name of the site."""
_GAP = 4
"""Multipliers in the middle of each row that are left to the requantiser lanes, which take psums
from all columns."""

_MEMORY_ROWS = (70, 82)
"""Below all multipliers: the activation buffer's rotation takes as much of the device as a band of
the array does. The other rows, 22 and 46, lie between the bands."""
_MEMORIES = ((0, 0), (2, 1), (4, 2), (6, 3))
_MEMORY_BYTES = 2048
"""In a DP16KD, 8 or 16 bits wide."""


def floor_plan(config: AcceleratorConfig) -> dict[str, str]:
    """nextpnr's name of the site for the one block of each of these modules of the machine.

    Raises:
        ConfigError: there are too few sites where the plan wants them.
    """
    return _array(config) | _activation_buffer(config)


def _array(config: AcceleratorConfig) -> dict[str, str]:
    """Every row of multipliers takes a band of the array's rows, column by column. So a psum goes
    from site to site, and an activation as many sites on as the band has rows."""
    band = ceil_div(config.rows, len(_MULTIPLIER_ROWS))
    sites = [(block + column, number) for block in _BLOCKS for column, number in _MULTIPLIERS]
    middle = (len(sites) - _GAP) // 2
    half = ceil_div(band * config.cols, 2)
    if half > middle:
        raise ConfigError(
            f"a floor plan must have at most {2 * middle} PEs in each of {len(_MULTIPLIER_ROWS)} "
            f"bands of rows, got {band} x {config.cols} for {config.rows} x {config.cols} PEs: "
            "place this machine without one"
        )
    taken = sites[middle - half : middle] + sites[middle + _GAP : middle + _GAP + half]
    found = {}
    for row in range(config.rows):
        for col in range(config.cols):
            column, number = taken[col * band + row % band]
            level = _MULTIPLIER_ROWS[row // band]
            found[f"execute.array.pe_{row}_{col}"] = f"X{column}/Y{level}/MULT18_{number}"
    return found


def _activation_buffer(config: AcceleratorConfig) -> dict[str, str]:
    """The banks of a lane side by side, and lane by lane from the left on: the rotation behind them
    chooses among banks first."""
    lanes, banks = config.activation_lanes, config.activation_banks
    in_row = ceil_div(lanes, len(_MEMORY_ROWS)) * banks
    sites = [(block + column, number) for block in _BLOCKS for column, number in _MEMORIES]
    memory_bytes = config.activation_words * config.activation_bytes
    if memory_bytes > _MEMORY_BYTES or in_row > len(sites):
        raise ConfigError(
            f"a floor plan must have at most {len(_MEMORY_ROWS) * len(sites)} memories of "
            f"{_MEMORY_BYTES} bytes in the activation buffer, one for each lane of each bank, got "
            f"{lanes} x {banks} of {memory_bytes} bytes: "
            "place this machine without one"
        )
    found = {}
    for lane in range(lanes):
        for bank in range(banks):
            row, place = divmod(lane * banks + bank, in_row)
            column, number = sites[place]
            site = f"X{column}/Y{_MEMORY_ROWS[row]}/EBR{number}"
            found[f"activation_buffer.bank{bank}_lane{lane}"] = site
    return found


def floor_plan_script(config: AcceleratorConfig, *, prefix: str) -> str:
    """Lines for Yosys, after synthesis, that give the blocks their sites. Yosys ends with an error
    where a module has not exactly one block.

    Args:
        config: of the machine.
        prefix: of its modules' names in the flattened design, such as ``core.``.

    Raises:
        ConfigError: see ``floor_plan``.
    """
    lines = []
    for module, site in floor_plan(config).items():
        block = f"c:{prefix}{module}.* t:MULT18X18D t:DP16KD %u %i"
        lines += [f"select -assert-count 1 {block}", f'setattr -set BEL "{site}" {block}']
    return "\n".join([*lines, "select -clear", ""])
