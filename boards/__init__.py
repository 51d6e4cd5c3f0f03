"""Platforms, memory and host links, SoC wrappers. No array logic."""
