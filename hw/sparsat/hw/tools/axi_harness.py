"""C++ harnesses of modules with memory ports: what depends on the configuration."""

from pathlib import Path

from sparsat.hw.axi import line_bits
from sparsat.hw.config import SATConfig

CPP = Path(__file__).parent / "cpp"


def harness(config: SATConfig, body: str, **constants: int) -> str:
    """The text of a harness: `body` behind the memory (`cpp/axi_memory.h`), the pointers to the
    ports' channels and the constants PORTS, BEAT, LINE (bytes), LINE_BITS and those given."""
    known = {
        "PORTS": config.channels,
        "BEAT": config.axi_bits // 8,
        "LINE": config.line_bytes,
        "LINE_BITS": line_bits(config),
    }
    lines = [f"const unsigned {name} = {value};" for name, value in (known | constants).items()]
    head = ["#include <memory>", '#include "Vtop.h"']
    memory = (CPP / "axi_memory.h").read_text()
    return "\n".join([*head, memory, *lines, _channels(config), body])


def _channels(config: SATConfig) -> str:
    """A struct of pointers into the verilated model."""
    pointers, values = [], []
    for channel in ("ar", "aw", "w", "r", "b"):
        for part in ("valid", "ready", "payload"):
            wide = part == "payload" and channel in "wr"
            kind = "uint8_t"
            if part == "payload" and channel != "b":
                kind = "uint32_t" if wide else "uint64_t"
            pointers.append(f"    std::array<{kind}*, PORTS> {channel}_{part};")
            ports = (
                f"&top.axi_{port}___05F{channel}___05F{part}" + "[0]" * wide
                for port in range(config.channels)
            )
            values.append(f"{channel}_{part}{{{', '.join(ports)}}}")
    made = ",\n          ".join(values)
    return "\n".join(
        [
            "struct Channels {",
            *pointers,
            f"    explicit Channels(Vtop& top)\n        : {made} {{}}",
            "};",
        ]
    )
