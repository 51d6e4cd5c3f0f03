"""The RTL generator in Amaranth, one component a file."""
