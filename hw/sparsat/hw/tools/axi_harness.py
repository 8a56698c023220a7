"""C++ harnesses of modules with memory ports: what depends on the configuration."""

from pathlib import Path
from typing import NamedTuple

from sparsat.hw.axi import line_bits
from sparsat.hw.config import SATConfig

CPP = Path(__file__).parent / "cpp"


class Wires(NamedTuple):
    """How a module's memory ports are spelt: `file` reads them through pointers `<channel>_<part>`
    of a C++ type to `symbol`, in which port, channel and part are filled in."""

    file: str
    symbol: str
    parts: dict[str, dict[str, str]]


_REQUEST = {"addr": "uint64_t", "len": "uint8_t", "size": "uint8_t", "burst": "uint8_t"}
PINS = Wires(
    "pin_wires.h",
    "m_axi_{port}_{channel}{part}",
    {
        "ar": _REQUEST,
        "aw": _REQUEST,
        "w": dict.fromkeys(("data", "strb", "last"), "uint8_t"),
        "r": dict.fromkeys(("data", "resp", "last"), "uint8_t"),
        "b": {"resp": "uint8_t"},
    },
)
STREAMS = Wires(
    "stream_wires.h",
    "axi_{port}___05F{channel}___05F{part}",
    {
        "ar": {"payload": "uint64_t"},
        "aw": {"payload": "uint64_t"},
        "w": {"payload": "uint8_t"},
        "r": {"payload": "uint8_t"},
        "b": {"payload": "uint8_t"},
    },
)


def harness(config: SATConfig, wires: Wires, body: str, **constants: int) -> str:
    """The text of a harness: `body` behind the memory (`cpp/axi_memory.h`), the `Wires` to the
    ports, and the constants PORTS, BEAT, LINE (bytes), LINE_BITS and those given."""
    known = {
        "PORTS": config.channels,
        "BEAT": config.axi_bits // 8,
        "LINE": config.line_bytes,
        "LINE_BITS": line_bits(config),
    }
    lines = [f"const unsigned {name} = {value};" for name, value in (known | constants).items()]
    head = ["#include <memory>", '#include "Vtop.h"', _cpp("axi_memory.h")]
    return "\n".join([*head, *lines, _pointers(config, wires), _cpp(wires.file), body])


def _cpp(name: str) -> str:
    return (CPP / name).read_text()


def _pointers(config: SATConfig, wires: Wires) -> str:
    """A struct of pointers into the verilated model."""
    pointers, values = [], []
    for channel, parts in wires.parts.items():
        for part, kind in ({"valid": "uint8_t", "ready": "uint8_t"} | parts).items():
            names = (
                wires.symbol.format(port=port, channel=channel, part=part)
                for port in range(config.channels)
            )
            places = ", ".join(f"reinterpret_cast<{kind}*>(&top.{name})" for name in names)
            pointers.append(f"    std::array<{kind}*, PORTS> {channel}_{part};")
            values.append(f"{channel}_{part}{{{places}}}")
    made = ",\n          ".join(values)
    return "\n".join(
        [
            "struct Pointers {",
            *pointers,
            f"    explicit Pointers(Vtop& top)\n        : {made} {{}}",
            "};",
        ]
    )
