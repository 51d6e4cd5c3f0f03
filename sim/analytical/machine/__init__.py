"""What a layer costs on a generated machine, from the layer, its mapping and the configuration.

The machine's own mapping rules as a dataflow: a ``arch.mapping.Mapping`` cuts the output into
tiles, the array takes a group of output channels of a tile at a time, and tiles of inputs, weights
and parameters take turns in rings of slots.

No command is made to count accesses (``counts``): they are sums over the two image axes, products
of one axis's sums with the other's, times how often a ring of slots is filled. Cycles (``steady``)
come from the kinds of steps that a layer is made of, on the timing laws of the command-level
simulator, which are the only code shared with it; none is shared with the compiler. The tests
compare all counters.
"""
