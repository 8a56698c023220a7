"""Addresses of tensors in the machine's memory: weights for good, activations while they live.

A region that has been read for the last time is given to later tensors. That is safe because the
results of an operation reach memory only after all operations before it have read their operands.
"""

from bisect import insort
from collections.abc import Iterable


class Regions:
    """A first-fit allocator of whole lines.

    Parameters
    ----------
    line_bytes : int
    start : int
        First address it may use.
    """

    def __init__(self, line_bytes: int, start: int) -> None:
        self._line, self._end = line_bytes, start
        self._free: list[tuple[int, int]] = []  # (address, bytes), by address
        self._used: dict[str, tuple[int, int]] = {}

    @property
    def end(self) -> int:
        """First address that was never used."""
        return self._end

    def take(self, name: str, size: int) -> int:
        """The address of a new region of at least `size` bytes."""
        size = -(-size // self._line) * self._line
        for index, (address, room) in enumerate(self._free):
            if room >= size:
                self._free.pop(index)
                if room > size:
                    insort(self._free, (address + size, room - size))
                break
        else:
            address = self._end
            self._end += size
        self._used[name] = (address, size)
        return address

    def give(self, names: Iterable[str]) -> None:
        """Free regions; neighbours are joined."""
        for name in names:
            insort(self._free, self._used.pop(name))
        joined: list[tuple[int, int]] = []
        for address, room in self._free:
            if joined and sum(joined[-1]) == address:
                joined[-1] = (joined[-1][0], joined[-1][1] + room)
            else:
                joined.append((address, room))
        self._free = joined
