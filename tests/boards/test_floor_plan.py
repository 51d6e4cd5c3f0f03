"""Every block has a site of its own, near its neighbours', and Yosys passes it on."""

import json
import re
from itertools import product
from pathlib import Path

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from arch.config import AcceleratorConfig
from arch.errors import ConfigError
from arch.presets import PRESETS
from boards.floor_plan import floor_plan, floor_plan_script
from hw.buffer import BankedBuffer
from hw.systolic import WeightStationaryArray
from hw.verilog import component_verilog
from tilewright.synthesis.tools import SCRIPT, yosys

SMALL, LARGE = PRESETS["small"], PRESETS["ecp5_85f"]


def sized(rows: int, cols: int) -> AcceleratorConfig:
    return AcceleratorConfig.from_mapping(SMALL.model_dump() | {"rows": rows, "cols": cols})


def place(site: str) -> tuple[int, int]:
    found = re.fullmatch(r"X(\d+)/Y(\d+)/(MULT18_[0145]|EBR[0-3])", site)
    assert found
    return int(found[1]), int(found[2])


@pytest.mark.parametrize(
    "config", [SMALL, PRESETS["small16"], LARGE, sized(2, 4), sized(5, 6), sized(16, 8)]
)
def test_every_block_has_its_own_site(config: AcceleratorConfig) -> None:
    sites = floor_plan(config)
    pes = {f"execute.array.pe_{r}_{c}" for r in range(config.rows) for c in range(config.cols)}
    memories = {
        f"activation_buffer.bank{bank}_lane{lane}"
        for bank in range(config.activation_banks)
        for lane in range(config.activation_lanes)
    }
    assert sites.keys() == pes | memories
    assert len(set(sites.values())) == len(sites)


def test_neighbours_are_near() -> None:
    places = {module: place(site) for module, site in floor_plan(LARGE).items()}
    for row, col in product(range(LARGE.rows), range(LARGE.cols)):
        x, y = places[f"execute.array.pe_{row}_{col}"]
        if row % 4 != 3:
            below, level = places[f"execute.array.pe_{row + 1}_{col}"]
            assert (abs(below - x) <= 3, level) == (True, y)
        if col < LARGE.cols - 1:
            right, level = places[f"execute.array.pe_{row}_{col + 1}"]
            # One block further, two across the gap, and the clock's column between two blocks.
            assert (9 <= right - x <= 20, level) == (True, y)
    for lane in range(LARGE.activation_lanes):
        banks = [places[f"activation_buffer.bank{bank}_lane{lane}"] for bank in range(4)]
        columns = [x for x, _ in banks]
        assert len({y for _, y in banks}) == 1
        assert max(columns) - min(columns) == 6


def test_an_array_that_is_too_wide() -> None:
    message = (
        r"^a floor plan must have at most 48 PEs in each of 3 bands of rows, got 5 x 12 for "
        r"13 x 12 PEs: place this machine without one$"
    )
    with pytest.raises(ConfigError, match=message):
        floor_plan(sized(13, 12))


def test_a_buffer_that_is_too_deep() -> None:
    deep = SMALL.model_dump() | {"activation_buffer_bytes": 4 * SMALL.activation_buffer_bytes}
    message = (
        r"^a floor plan must have at most 104 memories of 2048 bytes in the activation buffer, one "
        r"for each lane of each bank, got 8 x 4 of 4096 bytes: place this machine without one$"
    )
    with pytest.raises(ConfigError, match=message):
        floor_plan(AcceleratorConfig.from_mapping(deep))


class Machine(wiring.Component):
    """The parts that have a place, where a machine has them."""

    def __init__(self, config: AcceleratorConfig) -> None:
        self._array = WeightStationaryArray(config=config)
        self._buffer = BankedBuffer(
            lanes=config.activation_lanes,
            words=config.activation_words,
            banks=config.activation_banks,
            readers=(1,),
            writers=(1,),
        )
        super().__init__(
            {"array": Out(self._array.signature), "buffer": Out(self._buffer.signature)}
        )

    def elaborate(self, _: object) -> Module:
        m = Module()
        m.submodules.execute = execute = Module()
        execute.submodules.array = self._array
        m.submodules.activation_buffer = self._buffer
        wiring.connect(m, wiring.flipped(self.array), self._array)
        wiring.connect(m, wiring.flipped(self.buffer), self._buffer)
        return m


def test_yosys_gives_every_block_its_site(tmp_path: Path) -> None:
    config = sized(4, 2)
    # As far as to multipliers and memories, and to the names that cells have in the end.
    script = "read_verilog machine.v\nsynth_ecp5 -top machine -run begin:map_ffram\nautoname\n"
    script += floor_plan_script(config, prefix="") + "delete =A:whitebox\nwrite_json netlist.json\n"
    (tmp_path / "machine.v").write_text(component_verilog(Machine(config), "machine"))
    (tmp_path / SCRIPT).write_text(script)
    yosys(tmp_path)
    cells = json.loads((tmp_path / "netlist.json").read_text())["modules"]["machine"]["cells"]
    placed = {
        name: cell["attributes"]["BEL"]
        for name, cell in cells.items()
        if "BEL" in cell["attributes"]
    }
    expected = floor_plan(config)
    assert len(placed) == len(expected)
    for module, site in expected.items():
        (name,) = (name for name, each in placed.items() if each == site)
        assert name.startswith(f"{module}.")
