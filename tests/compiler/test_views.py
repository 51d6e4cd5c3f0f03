"""Feature maps that share memory: where they lie, and where a copy remains."""

import numpy as np

from arch.layers import FeatureMap, PoolShape, Window
from compiler.memory_map import MapPlace
from compiler.views import find_views, separate_views
from sim.network import Alias, Concat, Layer, MaxPool, Network, Slice, TensorSpec


def spec(name: str, channels: int, *, height: int = 4, width: int = 3) -> TensorSpec:
    return TensorSpec(
        name=name,
        shape=FeatureMap(height=height, width=width, channels=channels),
        signed=True,
        scale=np.float32(0.5),
        zero_point=0,
    )


def layer(source: TensorSpec, target: TensorSpec) -> MaxPool:
    return MaxPool(
        name=f"to {target.name}",
        input=source,
        output=target,
        shape=PoolShape(ifmap=source.shape, window=Window(kernel=(1, 1))),
        multiplier=np.float32(1),
        clamp=(-128, 127),
    )


def network(*layers: Layer) -> Network:
    return Network(name="n", input=X, layers=layers, outputs=(layers[-1].output,))


def places_in(made: Network) -> dict[str, MapPlace]:
    """Places of all maps, with roots a megabyte apart."""
    views = find_views(made)
    starts = {root: number << 20 for number, root in enumerate(views.roots)}
    return {name: view.place.moved(starts[view.root]) for name, view in views.maps.items()}


def copies(made: Network) -> list[str]:
    return [each.name for each in made.layers if each.name.startswith("copy of ")]


X, A, B, C = spec("x", 2), spec("a", 2), spec("b", 2), spec("c", 2)
AB, ABC = spec("ab", 4), spec("abc", 6)


def test_nested_concatenations_cost_no_copy() -> None:
    made = separate_views(
        network(
            layer(X, A),
            layer(X, B),
            Concat(name="1", inputs=(A, B), output=AB),
            layer(X, C),
            Concat(name="2", inputs=(AB, C), output=ABC),
            layer(ABC, spec("y", 6)),
        )
    )
    assert copies(made) == []
    places = places_in(made)
    whole = places["abc"]
    assert whole.is_packed(ABC.shape)
    assert places["ab"] == whole
    assert places["a"] == whole.at(0, 0, 0)
    assert places["b"] == whole.at(0, 0, 2)
    assert places["c"] == whole.at(0, 0, 4)
    assert places["c"].pixel_pitch == 6
    assert places["c"].row_pitch == 18


def test_a_map_in_two_concatenations_is_copied_once() -> None:
    other = spec("ba", 4)
    made = separate_views(
        network(
            layer(X, A),
            layer(X, B),
            layer(X, C),
            Concat(name="1", inputs=(A, B), output=AB),
            Concat(name="2", inputs=(B, C), output=other),
            layer(other, spec("y", 4)),
        )
    )
    assert copies(made) == ["copy of b"]


def test_the_input_is_copied_into_a_concatenation() -> None:
    made = separate_views(
        network(layer(X, A), Concat(name="1", inputs=(X, A), output=AB), layer(AB, spec("y", 4)))
    )
    assert copies(made) == ["copy of x"]


def test_slices_are_views() -> None:
    part = spec("part", 1, height=2, width=3)
    made = separate_views(
        network(
            layer(X, A),
            Slice(name="s", input=A, output=part, start=(1, 0, 1)),
            layer(part, spec("y", 1, height=2)),
        )
    )
    assert copies(made) == []
    places = places_in(made)
    assert places["part"] == places["a"].at(1, 0, 1)
    assert places["part"] == MapPlace(address=places["a"].address + 7, pixel_pitch=2, row_pitch=6)


def test_a_reshaped_slice_is_packed_first() -> None:
    part, flat = spec("part", 1), spec("flat", 12, height=1, width=1)
    made = separate_views(
        network(
            layer(X, A),
            Slice(name="s", input=A, output=part, start=(0, 0, 1)),
            Alias(name="r", input=part, output=flat),
            layer(flat, spec("y", 12, height=1, width=1)),
        )
    )
    assert copies(made) == ["copy of part"]
    places = places_in(made)
    assert places["flat"].address == places["r.packed"].address
    assert places["flat"].is_packed(flat.shape)
