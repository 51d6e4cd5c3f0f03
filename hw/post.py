"""The post-processor: from accumulators or activations to output elements."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from arch.commands import POST_LOOPS, Engine, PostMode, PostOperand, PostSource
from arch.config import AcceleratorConfig
from arch.post_timing import (
    operand_to_write,
    position_to_write,
    post_groups,
    post_overlap,
    product_latency,
)
from arch.timing import BUFFER_READ_LATENCY
from hw.address import AffineGenerator
from hw.delay import delayed
from hw.interfaces import (
    ReadPort,
    activation_port,
    activation_write_port,
    command_layout,
    command_stream,
)
from hw.pool import Pool
from hw.post_groups import GroupWalker
from hw.post_parameters import OperandBlock, ParameterBlock
from hw.products import KernelProducts
from hw.result_lanes import ResultLanes
from hw.table import table_port

_ARRIVAL = 1 + BUFFER_READ_LATENCY
"""From the issue of a position to its data."""

_POOL_LATENCY = 2


class DrainPort(wiring.Signature):
    """A read of one accumulator entry, a signed sum for each column, as its user drives it.

    ``data`` follows a request (``valid``) by BUFFER_READ_LATENCY cycles.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        sums = data.ArrayLayout(signed(config.accumulator_bits), config.cols)
        super().__init__(
            {
                "valid": Out(1),
                "address": Out(config.accumulator_address_bits),
                "data": In(sums),
            }
        )


class PostEngine(wiring.Component):
    """Combines each window of source positions, adds the bias, requantises and clamps, combines
    the result with a second operand, looks it up in a table, and writes it.

    Never stalls: every event has its cycle, as arch/post_timing.py states. A command taken in cycle
    p reads its constants from p + 1 on, then issues a position a cycle, window after window, each
    taking the larger of its positions and the groups of columns of its output. Meanwhile the last
    results of the command before may still be on their way. Positions that are padding take their
    cycle, but are not requested. What the last output was made of stays in the pool unit, for a
    next command that continues its window. With ``depthwise_kernel`` positions may be multiplied by
    weights on their way there, and each window of a row then goes on from the one before.

    Members:
        commands: Post commands whose waits are over.
        parameter: Read port of the parameter buffer; aligned words of ``bus_bytes``.
        drain: Read port of the accumulators.
        activation: Read port of ``cols`` elements; only the command's channels are requested.
        operand: Read port of ``requantiser_lanes`` elements of the activation buffer.
        write: Write port of as many.
        tables: Write port of the tables; aligned words of ``bus_bytes``.
        idle: A command is taken in this cycle if there is one.
        drained: Pulse: from the next cycle on, nothing more of the command's source is read.
        done: Pulse: from the next cycle on, read requests see all bytes of the command.
        position: Event, one a cycle: a position was issued, padding or not.
        table_read: Event, one a cycle: a group was written that was looked up in a table.
    """

    def __init__(self, *, config: AcceleratorConfig) -> None:
        self._config = config
        lanes = config.requantiser_lanes
        parameter_bits = config.parameter_buffer_bytes.bit_length() - 1
        super().__init__(
            {
                "commands": In(command_stream(Engine.POST)),
                "parameter": Out(ReadPort(address_bits=parameter_bits, elements=config.bus_bytes)),
                "drain": Out(DrainPort(config)),
                "activation": Out(activation_port(config, config.cols)),
                "operand": Out(activation_port(config, lanes)),
                "write": Out(activation_write_port(config, lanes)),
                "tables": In(table_port(config)),
                "idle": Out(1),
                "drained": Out(1),
                "done": Out(1),
                "position": Out(1),
                "table_read": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        config = self._config
        m.submodules.positions = positions = AffineGenerator(
            loops=POST_LOOPS,
            address_bits=max(config.activation_address_bits, config.accumulator_address_bits),
        )
        m.submodules.pool = pool = Pool(
            columns=config.cols,
            bits=config.accumulator_bits,
            depth=max(config.depthwise_kernel, 1),
        )
        m.submodules.lanes = lanes = ResultLanes(config=config)
        # The command that issues positions, and the one whose results come out.
        command, results = (
            Signal(command_layout(Engine.POST), name=name, reset_less=True)
            for name in ("command", "results")
        )
        issue, window_end, columns_end = Signal(), Signal(), Signal()
        # What the word that is requested in this cycle belongs to; without either, the columns.
        for_operand, for_products = Signal(), Signal()

        self._sequence(
            m,
            positions,
            command,
            issue=issue,
            window_end=window_end,
            columns_end=columns_end,
            for_operand=for_operand,
            for_products=for_products,
        )
        with m.If(columns_end):
            m.d.sync += results.eq(command)
        self._request(m, positions, command, issue=issue)
        row_end = window_end & positions.last[1]
        output_end = self._choose_outputs(m, command, window_end=window_end, row_end=row_end)
        # The next position begins a window; the next window begins a row.
        first, row_begins = Signal(), Signal()
        with m.If(self.idle):
            m.d.sync += [first.eq(~self.commands.payload.continues), row_begins.eq(1)]
        with m.Elif(issue):
            m.d.sync += first.eq(window_end)
            with m.If(window_end):
                m.d.sync += row_begins.eq(row_end)
        pooling = _ARRIVAL + product_latency(config)
        m.d.comb += pool.first.eq(delayed(m, issue & first, stages=pooling))
        self._pool(m, pool, command)
        if config.depthwise_kernel:
            goes_on = ~row_begins & (command.mode == PostMode.PRODUCTS)
            m.d.comb += pool.chained.eq(delayed(m, goes_on, stages=pooling))
            self._multiply(
                m, pool, command, issue=issue, window_end=window_end, for_products=for_products
            )
        take = delayed(m, output_end, stages=pooling + _POOL_LATENCY)
        columns_word = self.parameter.valid & ~for_operand & ~for_products
        self._feed(
            m,
            pool,
            lanes,
            take=take,
            columns_word=columns_word,
            columns_end=columns_end,
            operand_word=for_operand,
        )
        m.d.comb += lanes.command.eq(results)
        wiring.connect(m, wiring.flipped(self.tables), lanes.tables)
        begin = delayed(m, columns_end, stages=1)
        self._walk_groups(m, results, lanes, begin=begin, output_end=output_end, row_end=row_end)
        return m

    def _sequence(
        self,
        m: Module,
        positions: AffineGenerator,
        command: data.View,
        *,
        issue: Signal,
        window_end: Signal,
        columns_end: Signal,
        for_operand: Signal,
        for_products: Signal,
    ) -> None:
        """The life of a command; drives ``issue`` (a position goes out), ``window_end`` (the last
        one of its window), ``columns_end`` (the last word of the columns' parameters is requested:
        the command before is done, but for its last write), ``for_operand`` and ``for_products``.
        """
        config = self._config
        groups = post_groups(config)
        word = Signal(config.parameter_address_bits)
        most_words = (
            config.parameter_block_words,
            config.operand_block_words,
            config.product_words(config.tap_rows),
        )
        words_left = Signal(range(max(most_words)))
        product_words = config.product_words(command.kernel_rows + 1)
        # Cycle of the present window, up to the last that an output takes at least: left there
        # if windows take longer.
        slot = Signal(range(groups))
        slots_over = slot == groups - 1
        # The window is over, its slots are not.
        waiting = Signal()
        # From the cycle after the last position's issue to the end of TAIL, and from there to
        # ``done``, while the next command may have been taken.
        overlap = post_overlap(config)
        after_last = position_to_write(config) + groups - 1 - overlap
        tail, rest = Signal(range(after_last + 1)), Signal(range(overlap + 2))
        last_position = issue & positions.last.all()
        m.d.sync += self.drained.eq(last_position)
        m.d.comb += self.done.eq(rest == 1)
        with m.If(rest != 0):
            m.d.sync += rest.eq(rest - 1)

        positions.describe(m, self.commands.payload)
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [
                    self.idle.eq(1),
                    self.commands.ready.eq(1),
                    positions.load.eq(self.commands.valid),
                ]
                with m.If(self.commands.valid):
                    m.d.sync += [
                        command.eq(self.commands.payload),
                        word.eq(self.commands.payload.parameter_address),
                        words_left.eq(config.parameter_block_words - 1),
                    ]
                    m.next = "PARAMETERS"
            with m.State("PARAMETERS"):
                m.d.comb += self.parameter.valid.eq(1)
                m.d.sync += [word.eq(word + 1), words_left.eq(words_left - 1)]
                with m.If(words_left == 0):
                    m.d.comb += columns_end.eq(1)
                    m.next = "POSITIONS"
                    with m.If(command.operand != PostOperand.NONE):
                        m.d.sync += words_left.eq(config.operand_block_words - 1)
                        m.next = "OPERAND"
                    with m.Elif(command.mode == PostMode.PRODUCTS):
                        m.d.sync += words_left.eq(product_words - 1)
                        m.next = "PRODUCTS"
            with m.State("OPERAND"):
                m.d.comb += [self.parameter.valid.eq(1), for_operand.eq(1)]
                m.d.sync += [word.eq(word + 1), words_left.eq(words_left - 1)]
                with m.If(words_left == 0):
                    m.next = "POSITIONS"
                    with m.If(command.mode == PostMode.PRODUCTS):
                        m.d.sync += words_left.eq(product_words - 1)
                        m.next = "PRODUCTS"
            with m.State("PRODUCTS"):
                m.d.comb += [self.parameter.valid.eq(1), for_products.eq(1)]
                m.d.sync += [word.eq(word + 1), words_left.eq(words_left - 1)]
                with m.If(words_left == 0):
                    m.next = "POSITIONS"
            with m.State("POSITIONS"):
                m.d.comb += [
                    issue.eq(~waiting),
                    window_end.eq(issue & positions.last[-2:].all()),
                    positions.step.eq(issue),
                ]
                with m.If(~slots_over):
                    m.d.sync += [slot.eq(slot + 1), waiting.eq(waiting | window_end)]
                with m.Elif(waiting):
                    m.d.sync += [slot.eq(0), waiting.eq(0)]
                with m.If(last_position):
                    m.d.sync += [slot.eq(0), waiting.eq(0), tail.eq(after_last)]
                    m.next = "TAIL"
            with m.State("TAIL"):
                m.d.sync += tail.eq(tail - 1)
                with m.If(tail == 0):
                    m.d.sync += rest.eq(overlap + 1)
                    m.next = "IDLE"
        m.d.comb += [
            self.parameter.address.eq(Cat(Const(0, config.bus_bytes.bit_length() - 1), word)),
            self.parameter.mask.eq(~0),
        ]

    def _choose_outputs(
        self, m: Module, command: data.View, *, window_end: Value, row_end: Value
    ) -> Value:
        """Whether the window that ends gives an output."""
        if not self._config.depthwise_kernel:
            return window_end
        # Windows until the next output.
        left = Signal.like(command.lead, reset_less=True)
        with m.If(self.idle):
            m.d.sync += left.eq(self.commands.payload.lead)
        with m.Elif(row_end):
            m.d.sync += left.eq(command.lead)
        with m.Elif(window_end):
            m.d.sync += left.eq(Mux(left == 0, command.skip, left - 1))
        return window_end & (left == 0)

    def _request(
        self, m: Module, positions: AffineGenerator, command: data.View, *, issue: Value
    ) -> None:
        """One register stage: the read request of a position that is no padding."""
        present = issue & positions.row_valid & (positions.x >= 0) & (positions.room > 0)
        address = Signal.like(positions.address, reset_less=True)
        drains = command.source == PostSource.ACCUMULATOR
        columns = range(self._config.cols)
        m.d.sync += [
            self.position.eq(issue),
            address.eq(positions.address),
            self.drain.valid.eq(present & drains),
            self.activation.valid.eq(present & ~drains),
            self.activation.mask.eq(Cat(command.channels >= column for column in columns)),
        ]
        m.d.comb += [self.drain.address.eq(address), self.activation.address.eq(address)]

    def _pool(self, m: Module, pool: Pool, command: data.View) -> None:
        """Source data into the pool unit, behind the stage of the products if there is one."""
        bits, stages = self._config.activation_bits, product_latency(self._config)
        flip = command.unsigned << bits - 1
        for column, value in enumerate(pool.values[0]):
            element = (self.activation.data.word_select(column, bits) ^ flip).as_signed()
            drained = command.source == PostSource.ACCUMULATOR
            source = Mux(drained, self.drain.data[column], element)
            m.d.comb += value.eq(delayed(m, source, stages=stages, reset_less=True))
        requested = self.drain.valid | self.activation.valid
        m.d.comb += [
            pool.summing.eq(command.mode != PostMode.MAX),
            pool.counts.eq(delayed(m, requested, stages=BUFFER_READ_LATENCY + stages)),
        ]

    def _multiply(
        self,
        m: Module,
        pool: Pool,
        command: data.View,
        *,
        issue: Value,
        window_end: Value,
        for_products: Value,
    ) -> None:
        """Products into the pool unit, where the command asks for them: padding counts as well."""
        m.submodules.products = products = KernelProducts(config=self._config)
        requested = delayed(m, self.activation.valid, stages=BUFFER_READ_LATENCY)
        m.d.comb += [
            products.clear.eq(self.idle),
            products.load.eq(delayed(m, for_products, stages=BUFFER_READ_LATENCY)),
            products.word.eq(self.parameter.data),
            products.valid.eq(delayed(m, issue, stages=_ARRIVAL)),
            products.last.eq(delayed(m, window_end, stages=_ARRIVAL)),
            products.counts.eq(requested),
            products.values.eq(self.activation.data),
            products.unsigned.eq(command.unsigned),
        ]
        for values, row in zip(pool.values[1:], products.products[1:], strict=True):
            for value, product in zip(values, row, strict=True):
                m.d.comb += value.eq(product)
        with m.If(command.mode == PostMode.PRODUCTS):
            m.d.comb += pool.counts.eq(delayed(m, products.valid, stages=1))
            for value, product in zip(pool.values[0], products.products[0], strict=True):
                m.d.comb += value.eq(product)

    def _feed(
        self,
        m: Module,
        pool: Pool,
        lanes: ResultLanes,
        *,
        take: Value,
        columns_word: Value,
        columns_end: Value,
        operand_word: Value,
    ) -> None:
        """Pooled columns and their constants into the lanes, a group a cycle from the second cycle
        after ``take`` on."""
        m.submodules.parameters = parameters = ParameterBlock(config=self._config)
        m.submodules.operand_block = operand = OperandBlock(config=self._config)
        groups, bits = post_groups(self._config), self._config.accumulator_bits
        columns = Signal.like(pool.pooled, reset_less=True)
        groups_left = Signal(range(groups + 1))
        shifted = columns.as_value() >> bits * self._config.requantiser_lanes
        m.d.sync += columns.eq(Mux(take, pool.pooled, shifted))
        with m.If(take):
            m.d.sync += groups_left.eq(groups)
        with m.Elif(groups_left != 0):
            m.d.sync += groups_left.eq(groups_left - 1)
        m.d.comb += [
            parameters.load.eq(delayed(m, columns_word, stages=BUFFER_READ_LATENCY)),
            parameters.word.eq(self.parameter.data),
            parameters.rotate.eq(groups_left != 0),
            operand.clear.eq(columns_end),
            operand.load.eq(delayed(m, operand_word, stages=BUFFER_READ_LATENCY)),
            operand.word.eq(self.parameter.data),
            lanes.constants.eq(operand.constants),
        ]
        for lane, parameter in enumerate(parameters.group):
            m.d.sync += [
                lanes.values[lane].eq(columns[lane] + parameter.bias),
                lanes.multipliers[lane].eq(parameter.multiplier),
            ]

    def _walk_groups(
        self,
        m: Module,
        command: data.View,
        lanes: ResultLanes,
        *,
        begin: Value,
        output_end: Value,
        row_end: Value,
    ) -> None:
        """Requests of second operands, and writes of results, of the command that is there in the
        cycle of ``begin``."""
        m.submodules.operand_walker = operand = GroupWalker(config=self._config)
        m.submodules.writer = writer = GroupWalker(config=self._config)
        to_write = operand_to_write(self._config)
        before_operand = position_to_write(self._config) - to_write
        starts = delayed(m, Cat(output_end, row_end), stages=before_operand)
        writes = delayed(m, starts, stages=to_write)
        for walker, prefix, start in ((operand, "operand", starts), (writer, "out", writes)):
            m.d.comb += [
                walker.first.eq(command[f"{prefix}_address"]),
                walker.to_row.eq(command[f"{prefix}_py"]),
                walker.to_column.eq(command[f"{prefix}_px"]),
                walker.channels.eq(command.channels),
                walker.load.eq(begin),
                Cat(walker.start, walker.row_end).eq(start),
            ]
        m.d.comb += [
            self.operand.valid.eq(operand.valid & (command.operand != PostOperand.NONE)),
            self.operand.address.eq(operand.address),
            self.operand.mask.eq(operand.mask),
            lanes.operands.eq(self.operand.data),
            self.write.valid.eq(writer.valid),
            self.write.address.eq(writer.address),
            self.write.mask.eq(writer.mask),
            self.write.data.eq(lanes.results),
            self.table_read.eq(writer.valid & (command.table != 0)),
        ]
