"""The built-in networks: one description each, without weights until a model file is asked for."""
