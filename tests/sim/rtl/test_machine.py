"""RtlMachine on a stand-in whose cycles follow from the memory's law by hand."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from arch.commands import COMMAND_BYTES
from arch.config import AcceleratorConfig
from arch.counters import COUNTER_NAMES
from arch.errors import InputError, RunError, ToolError
from arch.presets import PRESETS
from arch.registers import CONTROL_START, STATUS_BUSY, STATUS_DONE, Status
from sim.rtl.machine import ErrorRange, RtlMachine, RunResult
from tests.support.copier import AHEAD, copier_verilog

CONFIG = PRESETS["tiny"]
BEATS = COMMAND_BYTES // CONFIG.bus_bytes
MEMORY = 1 << 16
SOURCE = 0x1000
LIMIT = 100_000
OKAY, SLVERR, DECERR = 0, 2, 3


@pytest.fixture(scope="module")
def verilog() -> str:
    return copier_verilog(CONFIG)


@pytest.fixture
def machine(verilog: str) -> Iterator[RtlMachine]:
    with RtlMachine(verilog, CONFIG, memory_bytes=MEMORY) as machine:
        yield machine


def fill(machine: RtlMachine, blocks: int, seed: int = 0) -> NDArray[np.uint8]:
    """Random blocks at SOURCE, zeros elsewhere; returns the blocks."""
    data = np.random.default_rng(seed).integers(1, 256, blocks * COMMAND_BYTES, np.uint8)
    machine.memory[:] = 0
    machine.memory[SOURCE : SOURCE + data.size] = data
    return data


def copy_of(machine: RtlMachine, blocks: int) -> NDArray[np.uint8]:
    start = SOURCE + blocks * COMMAND_BYTES
    return machine.memory[start : start + blocks * COMMAND_BYTES]


def responses_by_law(
    blocks: int, *, latency: int, interval: int, beats: int = BEATS
) -> dict[int, int]:
    """Busy cycle of each write response: the stand-in's contract and the memory's law."""
    ar, r_last, w_last, b = [-1], [-interval], [-2], [-1]
    for block in range(1, blocks + 1):
        credit = w_last[block - AHEAD] + 1 if block > AHEAD else 0
        ar.append(max(ar[-1] + 1, credit))
        r_first = max(ar[-1] + latency, r_last[-1] + interval)
        r_last.append(r_first + (beats - 1) * interval)
        aw = max(r_last[-1], w_last[-1]) + 2
        w_first = max(aw + 1, w_last[-1] + interval)
        w_last.append(w_first + (beats - 1) * interval)
        b.append(max(w_last[-1] + latency, b[-1] + 1))
    return dict(enumerate(b[1:], start=1))


def assert_exact(result: RunResult, blocks: int, *, latency: int, interval: int) -> None:
    expected = responses_by_law(blocks, latency=latency, interval=interval)
    assert result.status == Status.OK
    assert result.snapshots == expected
    assert result.counters == dict.fromkeys(COUNTER_NAMES, 0) | {
        "cycles": expected[blocks] + 2,
        "memory_read_beats": blocks * BEATS,
        "memory_write_beats": blocks * BEATS,
    }


@pytest.mark.parametrize(
    ("latency", "interval"), [(1, 1), (7, 1), (20, 2), (100, 1), (3, 5), (60, 4)]
)
def test_every_response_comes_when_the_law_says(
    machine: RtlMachine, latency: int, interval: int
) -> None:
    blocks = 11
    data = fill(machine, blocks)
    machine.exact_timing(latency=latency, interval=interval)
    result = machine.run(SOURCE, blocks, LIMIT, range(1, blocks + 1))
    assert_exact(result, blocks, latency=latency, interval=interval)
    assert np.array_equal(copy_of(machine, blocks), data)


def test_the_configuration_gives_the_times(machine: RtlMachine) -> None:
    fill(machine, 6)
    result = machine.run(SOURCE, 6, LIMIT, range(1, 7))
    assert_exact(result, 6, latency=CONFIG.memory_latency, interval=CONFIG.beat_interval)


@pytest.mark.parametrize("name", ["small", "gemmini16"])
def test_wider_buses(name: str) -> None:
    config = PRESETS[name]
    with RtlMachine(copier_verilog(config), config, memory_bytes=MEMORY) as machine:
        data = fill(machine, 9)
        result = machine.run(SOURCE, 9, LIMIT, range(1, 10))
        assert result.snapshots == responses_by_law(
            9,
            latency=config.memory_latency,
            interval=config.beat_interval,
            beats=COMMAND_BYTES // config.bus_bytes,
        )
        assert np.array_equal(copy_of(machine, 9), data)


def test_a_second_run_is_like_the_first(machine: RtlMachine) -> None:
    for seed in range(3):
        data = fill(machine, 5, seed)
        result = machine.run(SOURCE, 5, LIMIT, range(1, 6))
        assert_exact(result, 5, latency=CONFIG.memory_latency, interval=CONFIG.beat_interval)
        assert np.array_equal(copy_of(machine, 5), data)


def test_snapshots_not_reached_are_missing(machine: RtlMachine) -> None:
    fill(machine, 3)
    result = machine.run(SOURCE, 3, LIMIT, [0, 2, 4])
    assert set(result.snapshots) == {2}


def test_a_long_run_can_be_followed(machine: RtlMachine) -> None:
    fill(machine, 9)
    machine.exact_timing(latency=50_000)
    seen: list[int] = []
    result = machine.run(SOURCE, 9, 10 * LIMIT, follow=seen.append)
    assert len(seen) > 1
    assert seen == sorted(set(seen))
    assert 0 < seen[0] < seen[-1] <= result.simulated_cycles


def test_simulated_cycles_include_the_register_accesses(machine: RtlMachine) -> None:
    fill(machine, 3)
    result = machine.run(SOURCE, 3, LIMIT)
    accesses = len(COUNTER_NAMES) + 3
    assert (
        result.counters["cycles"]
        < result.simulated_cycles
        <= result.counters["cycles"] + (4 * accesses)
    )
    assert result.seconds > 0


@pytest.mark.parametrize("seed", range(8))
def test_random_timing_changes_cycles_never_bytes(machine: RtlMachine, seed: int) -> None:
    blocks, cycles = 40, []
    for choice in (seed, seed, seed + 1000):
        data = fill(machine, blocks, seed)
        machine.random_timing(choice)
        result = machine.run(SOURCE, blocks, LIMIT)
        assert result.status == Status.OK
        assert np.array_equal(copy_of(machine, blocks), data)
        cycles.append(result.counters["cycles"])
    # The seed is all that a random run depends on.
    assert cycles[0] == cycles[1] != cycles[2]


def test_write_strobes_are_honoured(machine: RtlMachine) -> None:
    data = fill(machine, 2)
    machine.write("interrupt_enable", 1 | 0b0101 << 8)
    machine.write("program_address", SOURCE)
    machine.write("program_commands", 2)
    machine.write("control", CONTROL_START)
    assert machine.finish(LIMIT).status == Status.OK
    written = np.tile(np.array([False, True, False, True]), data.size // 4)
    assert np.array_equal(copy_of(machine, 2), np.where(written, data, 0))


def test_a_read_error_is_answered_and_forgotten(machine: RtlMachine) -> None:
    data = fill(machine, 4)
    # The last byte of block 1's second beat: that beat alone is lost.
    beat = slice(COMMAND_BYTES + CONFIG.bus_bytes, COMMAND_BYTES + 2 * CONFIG.bus_bytes)
    bad = SOURCE + beat.stop - 1
    machine.inject_errors([ErrorRange(start=bad, stop=bad + 1, write=False)])
    result = machine.run(SOURCE, 4, LIMIT)
    assert (result.status, result.error_command) == (Status.READ_ERROR, SLVERR)
    same = copy_of(machine, 4) == data
    assert not same[beat].any()
    assert np.delete(same, beat).all()

    machine.inject_errors([])
    data = fill(machine, 4, seed=1)
    result = machine.run(SOURCE, 4, LIMIT, range(1, 5))
    assert_exact(result, 4, latency=CONFIG.memory_latency, interval=CONFIG.beat_interval)
    assert np.array_equal(copy_of(machine, 4), data)


def test_a_write_error_leaves_the_beat_unwritten(machine: RtlMachine) -> None:
    data = fill(machine, 2)
    target = SOURCE + 2 * COMMAND_BYTES
    machine.inject_errors([ErrorRange(start=target, stop=target + 1, read=False)])
    result = machine.run(SOURCE, 2, LIMIT)
    assert (result.status, result.error_command) == (Status.WRITE_ERROR, SLVERR)
    lost = CONFIG.bus_bytes
    assert not copy_of(machine, 2)[:lost].any()
    assert np.array_equal(copy_of(machine, 2)[lost:], data[lost:])


@pytest.mark.parametrize("is_read", [True, False])
def test_an_error_range_keeps_to_its_direction(machine: RtlMachine, is_read: bool) -> None:
    fill(machine, 1)
    everything = ErrorRange(start=0, stop=MEMORY, read=is_read, write=not is_read)
    machine.inject_errors([everything])
    expected = Status.READ_ERROR if is_read else Status.WRITE_ERROR
    assert machine.run(SOURCE, 1, LIMIT).status == expected


def test_beyond_the_memory_is_a_decode_error(machine: RtlMachine) -> None:
    last = MEMORY - COMMAND_BYTES
    machine.memory[:] = 7
    result = machine.run(last, 1, LIMIT)  # reads the last block, writes the one behind it
    assert (result.status, result.error_command) == (Status.WRITE_ERROR, DECERR)
    result = machine.run(MEMORY, 1, LIMIT)
    assert result.error_command == DECERR
    assert (machine.memory == 7).all()


@pytest.mark.parametrize("cycle", [0, 1, 5, 17, 40, 73, 90, 200])
@pytest.mark.parametrize("timing", ["exact", "random"])
def test_a_reset_in_mid_run_leaves_nothing(machine: RtlMachine, timing: str, cycle: int) -> None:
    if timing == "random":
        machine.random_timing(cycle)
    fill(machine, 20)
    machine.start(SOURCE, 20)
    machine.advance(cycle)
    assert machine.read("status") == STATUS_BUSY
    machine.reset()
    assert machine.read("status") == 0

    machine.exact_timing()
    data = fill(machine, 7, seed=1)
    result = machine.run(SOURCE, 7, LIMIT, range(1, 8))
    assert_exact(result, 7, latency=CONFIG.memory_latency, interval=CONFIG.beat_interval)
    assert np.array_equal(copy_of(machine, 7), data)


def test_a_run_that_does_not_end_is_given_up(machine: RtlMachine) -> None:
    fill(machine, 20)
    with pytest.raises(RunError) as raised:
        machine.run(SOURCE, 20, 100)
    assert str(raised.value) == (
        "a run must end within max_cycles, got no interrupt after 100 cycles "
        "(status register 0x1): raise it, or look at a waveform"
    )
    # It is still running, and can be waited for.
    assert machine.finish(LIMIT).status == Status.OK
    assert machine.read("status") == STATUS_DONE


def test_verilog_of_another_configuration_is_refused(verilog: str) -> None:
    other = CONFIG.model_copy(update={"memory_latency": CONFIG.memory_latency + 1})
    with pytest.raises(RunError) as raised:
        RtlMachine(verilog, other, memory_bytes=MEMORY)
    assert str(raised.value) == (
        f"register fingerprint must read {other.fingerprint:#x} for configuration tiny, "
        f"got {CONFIG.fingerprint:#x}: generate its Verilog anew"
    )


def test_verilog_that_is_none_is_refused() -> None:
    with pytest.raises(ToolError, match=r"^verilator must succeed, got exit status 1: %Error"):
        RtlMachine("not Verilog", CONFIG)


def broken(verilog: str, old: str, new: str) -> str:
    """The text with exactly one change."""
    assert verilog.count(old) == 1, f"{old} must stand there once"
    return verilog.replace(old, new)


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        (
            "assign m_axi_arburst = 2'h1;",
            "assign m_axi_arburst = 2'h2;",
            "a burst must be of type INCR",
        ),
        (
            "assign m_axi_awsize = 3'h2;",
            "assign m_axi_awsize = 3'h1;",
            "a burst's beats must be as wide as the bus",
        ),
        (
            "assign m_axi_wlast = beat == 4'hf;",
            "assign m_axi_wlast = beat == 4'he;",
            "WLAST must mark the last beat of a burst",
        ),
        (
            "assign m_axi_wlast = beat == 4'hf;",
            "reg odd = 0; always @(posedge aclk) odd <= ~odd;\n"
            "assign m_axi_wlast = (beat == 4'hf) ^ (odd & ~m_axi_wready);",
            "W must be stable until it is ready",
        ),
    ],
)
def test_a_broken_rule_of_axi_is_told(verilog: str, old: str, new: str, rule: str) -> None:
    with RtlMachine(broken(verilog, old, new), CONFIG, memory_bytes=MEMORY) as machine:
        machine.exact_timing(latency=5, interval=2)
        fill(machine, 3)
        with pytest.raises(RunError) as raised:
            machine.run(SOURCE, 3, LIMIT)
    assert str(raised.value).startswith(f"the machine broke AXI4: {rule} (cycle ")


def test_a_burst_across_4_kib_is_told(machine: RtlMachine) -> None:
    with pytest.raises(RunError, match="a burst must not cross a 4 KiB boundary"):
        machine.run(0x1FE0, 1, LIMIT)
    machine.reset()
    assert machine.run(0x1FC0, 1, LIMIT).status == Status.OK


def test_a_waveform_changes_nothing_else(verilog: str, tmp_path: Path) -> None:
    vcd = tmp_path / "run.vcd"
    with RtlMachine(verilog, CONFIG, memory_bytes=MEMORY, waveform=vcd) as machine:
        data = fill(machine, 3)
        result = machine.run(SOURCE, 3, LIMIT, range(1, 4))
        assert np.array_equal(copy_of(machine, 3), data)
    assert_exact(result, 3, latency=CONFIG.memory_latency, interval=CONFIG.beat_interval)
    text = vcd.read_text("utf-8")
    assert "$var wire 1 " in text
    assert " m_axi_awvalid $end" in text
    # A cycle is 10 time units, and the run is in it.
    times = [int(line[1:]) for line in text.splitlines() if line.startswith("#")]
    assert times[-1] >= 10 * result.simulated_cycles


def test_a_waveform_that_cannot_be_written_is_refused(verilog: str, tmp_path: Path) -> None:
    path = tmp_path / "missing" / "run.vcd"
    with pytest.raises(InputError) as raised:
        RtlMachine(verilog, CONFIG, waveform=path)
    assert str(raised.value) == (
        f"a waveform must go to a file that can be written, got {path}: No such file or directory"
    )


def test_verilog_may_be_a_file(verilog: str, tmp_path: Path) -> None:
    (tmp_path / "machine.v").write_text(verilog, "utf-8")
    with RtlMachine(tmp_path / "machine.v", CONFIG, memory_bytes=MEMORY) as machine:
        fill(machine, 1)
        assert machine.run(SOURCE, 1, LIMIT).status == Status.OK


def test_machines_side_by_side_do_not_mix(verilog: str) -> None:
    other = PRESETS["small"]

    def make(config: AcceleratorConfig, text: str, seed: int) -> Callable[[], bool]:
        def work() -> bool:
            with RtlMachine(text, config, memory_bytes=1 << 20) as machine:
                data = fill(machine, 2000, seed)
                machine.random_timing(seed)
                status = machine.run(SOURCE, 2000, 10 * LIMIT).status
                return status == Status.OK and np.array_equal(copy_of(machine, 2000), data)

        return work

    work = [make(CONFIG, verilog, seed) for seed in range(3)]
    work += [make(other, copier_verilog(other), seed) for seed in range(3)]
    with ThreadPoolExecutor(len(work)) as pool:
        assert all(pool.map(lambda each: each(), work))
