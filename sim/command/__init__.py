"""The command-level simulator: the machine's bytes and its timeline from the command stream."""
