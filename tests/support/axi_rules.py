"""The rules of AXI4 and AXI4-Lite, watched at the pins in a cocotb test: a task for each bus, which
fails the test that started it.

Everything is read at rising edges, as the hardware reads it.
"""

from collections import deque
from collections.abc import Mapping, Sequence

from cocotb.triggers import RisingEdge

ADDRESS = ("addr", "len", "size", "burst")
AXI4 = {
    "ar": ADDRESS,
    "aw": ADDRESS,
    "w": ("data", "strb", "last"),
    "r": ("data", "resp", "last"),
    "b": ("resp",),
}
LITE = {
    "ar": ("addr",),
    "aw": ("addr",),
    "w": ("data", "strb"),
    "r": ("data", "resp"),
    "b": ("resp",),
}
INCREMENTING = 1


class Channel:
    """What passes on one channel: it stays until it is taken, nothing is valid after a reset."""

    def __init__(self, dut, prefix: str, name: str, parts: Sequence[str]):
        self.name = prefix + name
        self._valid, self._ready = (getattr(dut, self.name + end) for end in ("valid", "ready"))
        self._parts = {part: getattr(dut, self.name + part) for part in parts}
        self._held: dict[str, int] | None = None

    def sample(self, reset: bool) -> dict[str, int] | None:
        """What is taken in this cycle; `reset`: the edge before was one of a reset."""
        valid = bool(self._valid.value)
        assert not (reset and valid), f"{self.name} is valid in reset"
        now = {name: int(part.value) for name, part in self._parts.items()} if valid else None
        assert self._held is None or now == self._held, f"{self.name}: {self._held} became {now}"
        taken = valid and bool(self._ready.value)
        self._held = None if taken else now
        return now if taken else None


class Bus:
    """All channels, and which answers are owed."""

    def __init__(self, dut, prefix: str, channels: Mapping[str, Sequence[str]]):
        self._dut = dut
        self._channels = [Channel(dut, prefix, *each) for each in channels.items()]
        self._names = list(channels)
        self.passed = dict.fromkeys(channels, 0)
        self._reset = False
        self._forget()

    async def watch(self) -> None:
        while True:
            await RisingEdge(self._dut.clk)
            self.sample()

    def sample(self) -> None:
        """Look at all pins, once per cycle."""
        taken = [each.sample(self._reset) for each in self._channels]
        self._reset = bool(self._dut.rst.value)
        if self._reset:
            self._forget()
        else:
            self._check(dict(zip(self._names, taken, strict=True)))

    def _forget(self) -> None:
        self._reads: deque[int] = deque()
        self._writes: deque[int] = deque()
        self._written: deque[int] = deque()
        self._responses = self._beat = self._read = 0

    def _check(self, taken: dict[str, dict[str, int] | None]) -> None:
        """Answers come for what has passed in cycles before."""
        for name, payload in taken.items():
            self.passed[name] += payload is not None
        if taken["b"]:
            assert self._responses, "a response is not owed"
            self._responses -= 1
        if taken["r"]:
            self._read_beat(taken["r"])
        if taken["ar"]:
            self._reads.append(self._beats(taken["ar"]))
        if taken["aw"]:
            self._writes.append(self._beats(taken["aw"]))
        if taken["w"]:
            self._write_beat(taken["w"])
        self._match()

    def _read_beat(self, beat: dict[str, int]) -> None:
        assert self._reads, "a beat was not asked for"
        self._read += 1
        last = self._read == self._reads[0]
        assert beat.get("last", 1) == last, "RLAST is wrong"
        if last:
            self._reads.popleft()
            self._read = 0

    def _write_beat(self, beat: dict[str, int]) -> None:
        """Data may come before its address."""
        self._beat += 1
        if beat.get("last", 1):
            self._written.append(self._beat)
            self._beat = 0

    def _match(self) -> None:
        """Bursts whose address and data have passed are owed a response."""
        while self._writes and self._written:
            assert self._writes.popleft() == self._written.popleft(), "WLAST is wrong"
            self._responses += 1

    @staticmethod
    def _beats(request: dict[str, int]) -> int:
        """Of a burst, which is legal; one of AXI4-Lite."""
        if "len" not in request:
            return 1
        beats, size = request["len"] + 1, 1 << request["size"]
        assert request["burst"] == INCREMENTING
        last = request["addr"] // size * size + beats * size - 1
        assert request["addr"] >> 12 == last >> 12, f"{request} crosses 4 KiB"
        return beats
