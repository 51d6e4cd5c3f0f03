"""The golden model: the number specification of docs/numbers.md in NumPy, bit-exact."""
