"""A simulated step as one HTML page that opens without a network."""

from sparsat.sim.report.page import render

__all__ = ["render"]
