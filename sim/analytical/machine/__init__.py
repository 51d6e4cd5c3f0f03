"""What a layer costs on a generated machine, from the layer, its mapping and the configuration.

The machine's own mapping rules as a dataflow: a ``arch.mapping.Mapping`` cuts the output into
tiles, the array takes a group of output channels of a tile at a time, and tiles of inputs, weights
and parameters take turns in rings of slots.

No command is made to count accesses (``counts``): they are sums over the two image axes, products
of one axis's sums with the other's, times how often a ring of slots is filled. This shares no code
with the compiler or the command-level simulator, and the tests compare them count for count.
"""
