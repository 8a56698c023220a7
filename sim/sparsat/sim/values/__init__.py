"""The values of a step: every operation of a program against the golden model, bit for bit."""

from .check import Mismatch, check_step, checked_operations

__all__ = ["Mismatch", "check_step", "checked_operations"]
