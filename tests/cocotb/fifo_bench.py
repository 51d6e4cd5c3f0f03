"""A FIFO between random stalls: everything comes out, in order, without gaps that are not due."""

from typing import Any

import cocotb

from tests.support.streams import (
    StreamMonitor,
    StreamSink,
    StreamSource,
    bench_parameters,
    bench_random,
    random_stalls,
    start_clock,
)

COUNT = 500


@cocotb.test()
async def nothing_is_lost(dut: Any) -> None:
    rng, width = bench_random(), bench_parameters()["width"]
    sent, received = StreamMonitor(dut, "i"), StreamMonitor(dut, "o")
    source = StreamSource(dut, "i", random_stalls(rng))
    StreamSink(dut, "o", random_stalls(rng))
    await start_clock(dut)
    payloads = [rng.getrandbits(width) for _ in range(COUNT)]
    cocotb.start_soon(source.send(payloads))
    await received.wait_for(COUNT, timeout=100 * COUNT)
    assert sent.payloads == payloads
    assert received.payloads == sent.payloads


@cocotb.test()
async def one_a_cycle(dut: Any) -> None:
    sent, received = StreamMonitor(dut, "i"), StreamMonitor(dut, "o")
    source, width = StreamSource(dut, "i"), bench_parameters()["width"]
    StreamSink(dut, "o")
    await start_clock(dut)
    cocotb.start_soon(source.send(number % 2**width for number in range(COUNT)))
    await received.wait_for(COUNT, timeout=2 * COUNT)
    first = sent.cycles[0]
    assert sent.cycles == list(range(first, first + COUNT))
    latency = received.cycles[0] - first
    assert received.cycles == [cycle + latency for cycle in sent.cycles]
