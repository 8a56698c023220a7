"""Ways to a card: its registers, and the memory behind each of its ports."""

import importlib
import os
import time
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from sparsat.hw.config import SATConfig

CHANNEL_BYTES = 16 << 30
"""From one channel's memory to the next, for XDMA: see tcl/vivado.tcl."""
POLL_SECONDS = 1e-4


class Transport(Protocol):
    """Reads and writes one card. Offsets and addresses are in bytes."""

    def read_register(self, offset: int) -> int: ...

    def write_register(self, offset: int, value: int) -> None: ...

    def bases(self, channels: int, size: int) -> list[int]:
        """Make room for `size` bytes behind each port: where that begins for the ports."""

    def write_memory(self, channel: int, offset: int, data: bytes) -> None:
        """Write to the room behind a port."""

    def read_memory(self, channel: int, offset: int, size: int) -> bytes: ...

    def pause(self) -> None:
        """Let a moment pass, or less if there is an interrupt."""

    def now(self) -> float:
        """Seconds since some time, for timeouts."""


class XDMA:
    """The character devices of the xdma driver, `/dev/xdma0_*`: a project of the Vivado flow.

    FileNotFoundError where there is no such card.
    """

    def __init__(self, device: str = "xdma0", folder: Path = Path("/dev")) -> None:
        paths = {name: folder / f"{device}_{name}" for name in ("user", "h2c_0", "c2h_0")}
        for path in paths.values():
            if not path.exists():
                raise FileNotFoundError(f"no card: {path} is missing, load bitstream and driver")
        self._user = os.open(paths["user"], os.O_RDWR)
        self._to_card = os.open(paths["h2c_0"], os.O_WRONLY)
        self._from_card = os.open(paths["c2h_0"], os.O_RDONLY)

    def read_register(self, offset: int) -> int:
        return int.from_bytes(_read(self._user, offset, 4), "little")

    def write_register(self, offset: int, value: int) -> None:
        _write(self._user, offset, value.to_bytes(4, "little"))

    def bases(self, channels: int, size: int) -> list[int]:
        """Each port sees its own channel from 0 on."""
        if size > CHANNEL_BYTES:
            raise ValueError(f"{size} bytes per channel, a channel has {CHANNEL_BYTES}")
        return [0] * channels

    def write_memory(self, channel: int, offset: int, data: bytes) -> None:
        _write(self._to_card, channel * CHANNEL_BYTES + offset, data)

    def read_memory(self, channel: int, offset: int, size: int) -> bytes:
        return _read(self._from_card, channel * CHANNEL_BYTES + offset, size)

    def pause(self) -> None:
        time.sleep(POLL_SECONDS)

    def now(self) -> float:
        return time.monotonic()


class XRT:
    """XRT's `pyxrt`: a kernel of the Vitis flow. RuntimeError where that or its `ip` is missing."""

    def __init__(self, xclbin: str, index: int = 0) -> None:
        try:
            self._xrt: Any = importlib.import_module("pyxrt")
        except ImportError:
            raise RuntimeError(
                "no card: pyxrt is missing, install XRT and source setup.sh"
            ) from None
        if not hasattr(self._xrt, "ip"):
            raise RuntimeError("this pyxrt has no class ip, which opens kernels: use a later XRT")
        self._device = self._xrt.device(index)
        uuid = self._device.load_xclbin(self._xrt.xclbin(xclbin))
        self._ip = self._xrt.ip(self._device, uuid, "sat_card")
        self._rooms: list[Any] = []

    def read_register(self, offset: int) -> int:
        return self._ip.read_register(offset)

    def write_register(self, offset: int, value: int) -> None:
        self._ip.write_register(offset, value)

    def bases(self, channels: int, size: int) -> list[int]:
        """A buffer in each bank; link.cfg connects port i to bank i."""
        make, normal = self._xrt.bo, self._xrt.bo.normal
        self._rooms = [make(self._device, size, normal, bank) for bank in range(channels)]
        return [room.address() for room in self._rooms]

    def write_memory(self, channel: int, offset: int, data: bytes) -> None:
        room, way = self._rooms[channel], self._xrt.xclBOSyncDirection
        room.write(np.frombuffer(data, np.uint8), offset)
        room.sync(way.XCL_BO_SYNC_BO_TO_DEVICE, len(data), offset)

    def read_memory(self, channel: int, offset: int, size: int) -> bytes:
        room, way = self._rooms[channel], self._xrt.xclBOSyncDirection
        room.sync(way.XCL_BO_SYNC_BO_FROM_DEVICE, size, offset)
        return bytes(room.read(size, offset))

    def pause(self) -> None:
        time.sleep(POLL_SECONDS)

    def now(self) -> float:
        return time.monotonic()


class Simulated:
    """The accelerator in Verilator: `size` bytes of memory, from `BASE` on behind port 0."""

    BASE = 1 << 32
    CYCLES = 10_000
    """Of a pause, at most."""

    def __init__(self, config: SATConfig, size: int = 1 << 24) -> None:
        from sparsat.hw.tools.sat_model import Card, Memory, sat_model

        self.config, self._paused = config, 0
        self._memory = np.zeros(size, np.uint8)
        self._card = Card(sat_model(config), self._memory, Memory(base=self.BASE))
        self._lines = self._memory.reshape(-1, config.channels, config.axi_bits // 8)

    def read_register(self, offset: int) -> int:
        return self._card.read_word(offset)[0]

    def write_register(self, offset: int, value: int) -> None:
        self._card.write_word(offset, value)

    def bases(self, channels: int, size: int) -> list[int]:
        have = self._memory.size // channels
        if size > have:
            raise ValueError(f"{size} bytes per channel, the simulated card has {have}")
        return self._card.behaviour.bases[:channels]

    def write_memory(self, channel: int, offset: int, data: bytes) -> None:
        beat = self._lines.shape[2]
        found = np.frombuffer(data, np.uint8).reshape(-1, beat)
        self._lines[offset // beat : (offset + len(data)) // beat, channel] = found

    def read_memory(self, channel: int, offset: int, size: int) -> bytes:
        beat = self._lines.shape[2]
        return self._lines[offset // beat : (offset + size) // beat, channel].tobytes()

    def pause(self) -> None:
        self._card.wait(self.CYCLES)
        self._paused += self.CYCLES

    def now(self) -> float:
        return self._paused / self.config.clock_hz


def open_transport(device: str, config: SATConfig) -> Transport:
    """`simulated`, `xdma0` and the like, or the path of an `.xclbin`. ValueError for others."""
    if device == "simulated":
        return Simulated(config)
    if device.endswith(".xclbin"):
        return XRT(device)
    if device.startswith("xdma") and device[4:].isdigit():
        return XDMA(device)
    raise ValueError(f"device is {device!r}, it must be simulated, xdma0 or a file .xclbin")


def _write(file: int, offset: int, data: bytes) -> None:
    """All of it: the kernel may take less at once."""
    view = memoryview(data)
    while view:
        taken = os.pwrite(file, view, offset)
        view, offset = view[taken:], offset + taken


def _read(file: int, offset: int, size: int) -> bytes:
    parts = []
    while size:
        part = os.pread(file, size, offset)
        if not part:
            raise OSError(f"the card gives no data at {offset:#x}")
        parts.append(part)
        size, offset = size - len(part), offset + len(part)
    return b"".join(parts)
