"""Cycle-level simulation of whole training steps."""
