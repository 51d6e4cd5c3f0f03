"""Runs the generated Verilog: compiled to machine code, with a memory and a driver around it."""
