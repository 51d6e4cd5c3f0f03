"""Golden model, command-level simulator and RTL runner."""
