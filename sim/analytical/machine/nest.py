"""A machine's mapping as text: its loops, outermost first."""

from collections.abc import Iterator

from sim.analytical.machine.tiling import Tiling


def machine_nest(tiling: Tiling) -> str:
    """The loop nest of ``tiling``; tiles at the edges are smaller."""
    return "\n".join(f"{'  ' * depth}{line}" for depth, line in enumerate(_lines(tiling)))


def _lines(tiling: Tiling) -> Iterator[str]:
    mapping, (rows, columns) = tiling.mapping, tiling.outputs
    pixels = (
        f"for pixels in {len(rows)} x {len(columns)} tiles of "
        f"{mapping.tile_height} x {mapping.tile_width}:"
    )
    channels = (
        f"for channels in {len(tiling.ranges)} ranges of {mapping.tile_groups} groups of columns:"
    )
    yield from (pixels, channels) if tiling.pixels_outer else (channels, pixels)
    if tiling.layer.conv is None:
        yield "for each group of columns:  # post-processor"
        return
    yield "for each group of columns:  # array, then post-processor"
    group, boxes = tiling.groups[0], tiling.boxes[0]
    yield (
        f"for inputs in {len(group.blocks)} blocks of {group.blocks[0].channels} channels, "
        f"weights in {len(boxes)} boxes of {max(boxes)} tiles:"
    )
