"""Closed-form access counts, cycles and energy of mappings, and the search for the best one.

What is counted, and why the search is exact: docs/analytical.md.
"""
