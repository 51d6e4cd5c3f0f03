"""The shared vocabulary: plain data that the RTL, the compiler and every simulator read."""
