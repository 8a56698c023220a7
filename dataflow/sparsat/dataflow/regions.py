"""Addresses of tensors in the machine's memory: weights for good, activations while they live.

A region that has been read for the last time is given to later tensors. That is safe because the
results of an operation reach memory only after all operations before it have read their operands.
"""

from bisect import insort
from collections.abc import Iterable

from sparsat.hw.config import SATConfig
from sparsat.hw.timing import BANKS, PAGE_BYTES


class Regions:
    """A first-fit allocator of whole lines.

    Parameters
    ----------
    config : SATConfig
    start : int
        First address it may use.
    """

    def __init__(self, config: SATConfig, start: int) -> None:
        self._line, self._end = config.line_bytes, start
        self._page = PAGE_BYTES * config.channels
        self._free: list[tuple[int, int]] = []  # (address, bytes), by address
        self._used: dict[str, tuple[int, int]] = {}

    @property
    def end(self) -> int:
        """First address that was never used."""
        return self._end

    def bank(self, address: int) -> int:
        """The bank of memory in which an address lies, behind whichever port."""
        return address // self._page % BANKS

    def take(self, name: str, size: int, bank: int | None = None) -> int:
        """The address of a new region of at least `size` bytes, which begins in `bank` if given."""
        size = -(-size // self._line) * self._line
        if bank is not None:
            self._skip_to(bank)
            return self._append(name, size)
        for index, (address, room) in enumerate(self._free):
            if room >= size:
                self._free.pop(index)
                if room > size:
                    insort(self._free, (address + size, room - size))
                break
        else:
            return self._append(name, size)
        self._used[name] = (address, size)
        return address

    def _append(self, name: str, size: int) -> int:
        address = self._end
        self._used[name] = (address, size)
        self._end += size
        return address

    def _skip_to(self, bank: int) -> None:
        """Let the next address that was never used lie in `bank`; what lies before it is free."""
        pages = (bank - self.bank(self._end)) % BANKS
        if pages:
            begin = (self._end // self._page + pages) * self._page
            self._free.append((self._end, begin - self._end))
            self._end = begin

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
