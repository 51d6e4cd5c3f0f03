"""The passes that fuse layers. Each replaces two layers by one where that is cheaper, by the rough
formula of the tiling, and where only the second reads what the first one gives."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import isfinite

from arch.config import AcceleratorConfig
from arch.layers import Window
from compiler.constants import alone
from compiler.depthwise_cost import fits_post_processor
from compiler.fusion import FusedLayer
from compiler.plan import Plan
from compiler.tiling import cycles_alone
from sim.network import Add, Conv, MaxPool, Multiply, Table


def fuse_depthwise(plan: Plan) -> Plan:
    """Depthwise convolution and the 1x1 convolution behind it.

    The post-processor computes the former for the next tile while the array computes the latter.
    It also computes depthwise convolutions with nothing of that kind behind them, if it is faster.
    """
    fused = _fuse(plan, partial(_takes_pointwise, plan.config))
    return replace(fused, layers=tuple(_in_post(fused, layer) for layer in fused.layers))


def fuse_pools(plan: Plan) -> Plan:
    """Convolution and maximum pooling.

    The requantiser never reverses the order of two sums of a channel, so the largest sum gives the
    largest output. That holds for no other rounding in between: the pooling's scale must be the
    convolution's. An average of rounded outputs is not that of the sums, so averages stay layers.
    """
    return _fuse(plan, _takes_pool)


def fuse_joins(plan: Plan) -> Plan:
    """Convolution or pooling, and the sum or product that it is an operand of."""
    return _fuse(plan, _takes_join)


def fuse_tables(plan: Plan) -> Plan:
    """Any layer and the table that is looked up for its output."""
    return _fuse(plan, _takes_table)


def _takes_pointwise(config: AcceleratorConfig, former: FusedLayer, latter: FusedLayer) -> bool:
    (pointwise,) = latter.layers
    depthwise = former.layers[0]
    if len(former.layers) > 1 or not isinstance(depthwise, Conv) or not isinstance(pointwise, Conv):
        return False
    plain = pointwise.shape.window == Window(kernel=(1, 1))
    return plain and fits_post_processor(depthwise.shape, config)


def _in_post(plan: Plan, layer: FusedLayer) -> FusedLayer:
    """``layer``, computed by the post-processor if that is faster."""
    only = layer.layers[0]
    if len(layer.layers) > 1 or not isinstance(only, Conv):
        return layer
    if not fits_post_processor(only.shape, plan.config):
        return layer
    return min(layer, alone(only), key=lambda each: cycles_alone(each.shape, plan.config))


def _takes_pool(former: FusedLayer, latter: FusedLayer) -> bool:
    (pool,) = latter.layers
    exact = isinstance(pool, MaxPool) and float(pool.multiplier) == 1.0
    return exact and len(former.layers) == 1 and former.conv is not None


def _takes_join(former: FusedLayer, latter: FusedLayer) -> bool:
    (join,) = latter.layers
    if not isinstance(join, Add | Multiply) or former.join is not None or former.table is not None:
        return False
    return not join.broadcasts or former.output.name == join.input.name


def _takes_table(former: FusedLayer, latter: FusedLayer) -> bool:
    return isinstance(latter.layers[0], Table) and former.table is None


def _fuse(plan: Plan, takes: Callable[[FusedLayer, FusedLayer], bool]) -> Plan:
    """Fuse pairs that ``takes`` allows. A fused layer runs when its last one would."""
    maps = plan.views.maps
    # By roots: a view of a map, or a concatenation that it is a part of, reads it as well.
    read = [*(spec for layer in plan.layers for spec in layer.inputs), *plan.network.outputs]
    readers = Counter(maps[spec.name].root for spec in read)
    done: dict[str, FusedLayer] = {}
    for layer in plan.layers:
        fused = layer
        if len(layer.layers) == 1:
            formers = [
                done[spec.name]
                for spec in layer.inputs
                if spec.name in done and readers[maps[spec.name].root] == 1
            ]
            # Of two operands, the later one: the other is there by then.
            formers.sort(key=list(done.values()).index, reverse=True)
            for former in formers:
                both = replace(former, layers=(*former.layers, *layer.layers))
                if takes(former, layer) and _pays(plan, former, layer, both):
                    del done[former.output.name]
                    fused = both
                    break
        done[fused.output.name] = fused
    return replace(plan, layers=tuple(done.values()))


def _pays(plan: Plan, former: FusedLayer, latter: FusedLayer, both: FusedLayer) -> bool:
    fused = cycles_alone(both.shape, plan.config)
    apart = sum(cycles_alone(layer.shape, plan.config) for layer in (former, latter))
    return isfinite(fused) and fused <= apart
