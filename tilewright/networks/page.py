"""The page on the built-in networks, written from the registry."""

from collections.abc import Iterator

from tilewright.networks.entry import Family, NetworkEntry
from tilewright.networks.registry import NETWORKS, totals
from tilewright.networks.totals import Totals

_INTRODUCTION = """\
# Built-in networks

Generated from `tilewright/networks/registry.py`. Each network is described once, as typed nodes
with shapes (`tilewright/networks/builder.py`). From the description come

- layer shapes with weights and MACs, which need no memory for weights: `build("vgg-16")`;
- an ONNX model in QDQ form, opset 17, uint8 maps and int8 weights per channel:
  `quantised_model(synthesise(graph))`;
- the same as a float model: `float_model(synthesise(graph))`, of which
  `tilewright quantise` makes one of 16 bits.

Any input size can be asked for, down to the smallest: `build("vgg-16", size=(64, 64))`.

Weights are synthetic: seeded random numbers, with the scales and biases that folding a batch-norm
would give on a seeded image. Maps then neither saturate nor die, and the same seed gives the same
model on every machine. The networks compute nothing useful.

MACs are those of one image, taps on padding included. Weights are without biases; parameters are
all that training sets: weights, biases, gain and offset of each batch-norm."""

_LEFT_OUT = """\
## Left out

- Softmax, auxiliary classifiers of training.
- S3D: its maps have time as a third dimension. A stack of frames could be laid out in two, but its
  spatial convolutions would then run across the frames' borders.
- ShiftNet: a shift is a depthwise 3x3 convolution with a single 1 in each kernel, which an ONNX
  file can express; there is no generator for it.
- Networks with transposed or deformable convolutions, and those that are no CNNs."""

_COLUMNS = (
    "network",
    "input",
    "smallest",
    "conv weights",
    "conv MACs",
    "FC weights = MACs",
    "total weights",
    "total MACs",
)

_TITLES = {
    Family.SERIAL: "Serial",
    Family.PARALLEL: "Parallel",
    Family.DENSE: "Dense",
    Family.RESIDUAL: "Residual",
    Family.SEARCHED: "Found by search",
    Family.PRODUCT: "Matrix products",
    Family.OTHER: "Others",
}


def networks_page() -> str:
    """Markdown of the built-in networks, their totals, and how these compare with printed ones."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield _INTRODUCTION
    counts = {name: totals(entry) for name, entry in NETWORKS.items()}
    for family, title in _TITLES.items():
        members = [entry for entry in NETWORKS.values() if entry.family is family]
        yield from ("", f"## {title}", "")
        yield f"| {' | '.join(_COLUMNS)} |"
        yield "|---|---|---|--:|--:|--:|--:|--:|"
        yield from (_row(entry, counts[entry.name]) for entry in members)
        yield ""
        yield from (_origin(entry, counts[entry.name]) for entry in members)
    yield from ("", "## Against printed figures", "")
    yield "A printed figure agrees if the shapes' lies within half a unit of its last digit."
    yield ""
    yield "| network | what | printed | from the shapes | source | why they differ |"
    yield "|---|---|--:|--:|---|---|"
    for entry in NETWORKS.values():
        yield from _comparisons(entry, counts[entry.name])
    yield ""
    yield _LEFT_OUT


def _row(entry: NetworkEntry, counted: Totals) -> str:
    shape, smallest = entry.input, entry.smallest
    numbers = (
        counted.conv_weights,
        counted.conv_macs,
        counted.fc_weights,
        counted.weights,
        counted.macs,
    )
    return (
        f"| `{entry.name}` | {shape.height}x{shape.width}x{shape.channels} "
        f"| {smallest[0]}x{smallest[1]} | " + " | ".join(f"{n:,}" for n in numbers) + " |"
    )


def _origin(entry: NetworkEntry, counted: Totals) -> str:
    parts = [f"- `{entry.name}`: {entry.source}."]
    if entry.note:
        parts.append(entry.note)
    if counted.scale_macs:
        parts.append(
            f"Batch-norms that stand alone: {counted.scale_weights:,} weights, "
            f"{counted.scale_macs:,} MACs."
        )
    return " ".join(parts)


def _comparisons(entry: NetworkEntry, counted: Totals) -> Iterator[str]:
    for figure in entry.figures:
        what = figure.quantity.replace("_", " ").replace("macs", "MACs").replace("fc", "FC")
        computed = getattr(counted, figure.quantity)
        yield (
            f"| `{entry.name}` | {what} | {figure.printed} | {computed:,} | {figure.source} "
            f"| {figure.why or '-'} |"
        )
