"""Named architectures, and every machine that can be generated as one."""

from collections.abc import Iterator
from pathlib import Path

from arch.architecture import Architecture, Array, DataType, Storage, WordBits
from arch.config import AcceleratorConfig
from arch.energy import TABLES
from arch.errors import ConfigError
from arch.presets import PRESETS
from arch.sparsity import RunLength, Tensor

_KIB = 1024
_EVERYTHING = tuple(DataType)


def _eyeriss() -> Architecture:
    """The chip (Chen et al., JSSC 52(1), 2017); its link has 64 bits at 60 MHz, its core 200 MHz.

    Filters go from memory into the PEs: that 8 of the 108 kB hold those that come next is left out.
    Feature maps are coded in memory, filters are not. A PE that finds a zero input
    reads no filter and multiplies nothing, so that the sum stays as it is.
    """
    return Architecture(
        name="eyeriss",
        clock_mhz=200,
        memory_bytes_per_cycle=8 * 60 / 200,
        array=Array(rows=12, cols=14),
        buffers=(Storage(name="glb", bytes=108 * _KIB, holds=(DataType.IFMAP, DataType.PSUM)),),
        spads=(
            Storage(name="ifmap_spad", bytes=12 * 2, holds=(DataType.IFMAP,)),
            Storage(name="filter_spad", bytes=224 * 2, holds=(DataType.WEIGHT,)),
            Storage(name="psum_spad", bytes=24 * 2, holds=(DataType.PSUM,)),
        ),
        run_length=RunLength(codes=(Tensor.IFMAP, Tensor.OFMAP)),
        zero_gating=(DataType.WEIGHT, DataType.PSUM),
        energy=TABLES["eyeriss"],
    )


_ISCA_ARRAYS = {256: (16, 16), 512: (16, 32), 1024: (32, 32)}
_ISCA_RF = 512
"""Bytes of a row-stationary PE's register file, and of buffer for each of its PEs."""
_ISCA_AREA = 1.6
"""Area of a byte of register file, in bytes of buffer: without register files the buffer is 2.6
times as large at equal area (ISCA 2016, section VI), so 512 bytes of one make 1.6 * 512 of the
other."""
_ISCA_KEEPS: dict[str, tuple[DataType, ...]] = {
    "rs": _EVERYTHING,
    "ws": (DataType.WEIGHT,),
    "osa": (DataType.PSUM,),
    "osb": (DataType.PSUM,),
    "osc": (DataType.PSUM,),
    "nlr": (),
}
"""What a PE keeps, by dataflow: a row-stationary one 512 bytes of everything, the others a word."""


def _isca16() -> Iterator[Architecture]:
    """The equal-area set of Chen, Emer, Sze, ISCA 2016: 16-bit words, DRAM never the bottleneck."""
    for pes, (rows, cols) in _ISCA_ARRAYS.items():
        for dataflow, keeps in _ISCA_KEEPS.items():
            size = _ISCA_RF if dataflow == "rs" else 2 * len(keeps)
            glb = int(pes * (_ISCA_RF + _ISCA_AREA * (_ISCA_RF - size)))
            yield Architecture(
                name=f"isca16_{dataflow}_{pes}",
                clock_mhz=200,
                memory_bytes_per_cycle=64,
                array=Array(rows=rows, cols=cols),
                buffers=(Storage(name="glb", bytes=glb, holds=_EVERYTHING),),
                spads=(Storage(name="rf", bytes=size, holds=keeps),) if keeps else (),
                forwards=True,
                energy=TABLES["eyeriss"],
            )


def _tpu_like() -> Architecture:
    """After Jouppi et al., ISCA 2017: 24 MiB of activations, 4 MiB of 32-bit sums, a weight FIFO of
    four tiles, 700 MHz, 30 GiB/s."""
    return Architecture(
        name="tpu_like",
        clock_mhz=700,
        memory_bytes_per_cycle=46,
        array=Array(rows=256, cols=256),
        word_bits=WordBits(ifmap=8, weight=8, psum=32),
        buffers=(
            Storage(name="unified", bytes=24 * _KIB * _KIB, holds=(DataType.IFMAP,)),
            Storage(name="weight_fifo", bytes=4 * 64 * _KIB, holds=(DataType.WEIGHT,)),
            Storage(name="accumulators", bytes=4 * _KIB * _KIB, holds=(DataType.PSUM,)),
        ),
        spads=(Storage(name="weight_register", bytes=1, holds=(DataType.WEIGHT,)),),
        energy=TABLES["horowitz45"],
    )


def from_config(config: AcceleratorConfig) -> Architecture:
    """The generated machine ``config``: its buffers, and a register of weights in each PE.

    It has no clock of its own; 100 MHz stands in.
    """
    return Architecture(
        name=config.name,
        clock_mhz=100,
        memory_bytes_per_cycle=config.memory_bytes_per_cycle,
        array=Array(rows=config.rows, cols=config.cols),
        word_bits=WordBits(
            ifmap=config.activation_bits, weight=config.weight_bits, psum=config.accumulator_bits
        ),
        buffers=(
            Storage(
                name="activation", bytes=config.activation_buffer_bytes, holds=(DataType.IFMAP,)
            ),
            Storage(name="weight", bytes=config.weight_buffer_bytes, holds=(DataType.WEIGHT,)),
            Storage(
                name="accumulator", bytes=config.accumulator_buffer_bytes, holds=(DataType.PSUM,)
            ),
        ),
        spads=(
            Storage(name="weight_register", bytes=config.weight_bytes, holds=(DataType.WEIGHT,)),
        ),
        energy=TABLES["horowitz45"],
    )


ARCHITECTURES: dict[str, Architecture] = {
    each.name: each
    for each in (_eyeriss(), *_isca16(), _tpu_like(), *map(from_config, PRESETS.values()))
}
"""All built-in architectures by name."""


def load_architecture(name_or_path: str) -> Architecture:
    """A built-in architecture by its name, else a TOML file by its path; raises ``ConfigError``."""
    if name_or_path in ARCHITECTURES:
        return ARCHITECTURES[name_or_path]
    if not name_or_path.endswith(".toml"):
        raise ConfigError(
            f"an architecture must be one of {', '.join(ARCHITECTURES)} or a .toml file, "
            f"got {name_or_path!r}"
        )
    return Architecture.from_file(Path(name_or_path))
