"""Module `sat_card`: the accelerator under the names that Vivado's and Vitis' packagers know."""

from collections.abc import Iterable

from sparsat.hw.emit import Port

RENAMED = {"s_axil_": "s_axi_control_"}
"""Prefixes of ports, inside and outside."""


def wrapper(ports: Iterable[Port]) -> str:
    """Verilog of `sat_card` around module `sat` with `ports`, among them `clk` and `rst`.

    `ap_rst_n` is active low and may come from anywhere: two registers take it over.
    """
    inner = [port for port in ports if port.name not in ("clk", "rst")]
    declared = [
        "    input wire ap_clk",
        "    input wire ap_rst_n",
        *(_declaration(port) for port in inner),
    ]
    connected = [
        "        .clk(ap_clk)",
        "        .rst(reset[1])",
        *(f"        .{port.name}({outside(port.name)})" for port in inner),
    ]
    return "\n".join(
        [
            "module sat_card (",
            ",\n".join(declared),
            ");",
            '    (* ASYNC_REG = "TRUE" *) reg [1:0] reset = 2\'b11;',
            "    always @(posedge ap_clk) reset <= {reset[0], ~ap_rst_n};",
            "    sat sat (",
            ",\n".join(connected),
            "    );",
            "endmodule",
            "",
        ]
    )


def outside(name: str) -> str:
    """What the wrapper calls a port of `sat`."""
    for inside, renamed in RENAMED.items():
        if name.startswith(inside):
            return renamed + name.removeprefix(inside)
    return name


def _declaration(port: Port) -> str:
    kind = "input wire" if port.direction == "in" else "output wire"
    width = f" [{port.width - 1}:0]" if port.width > 1 else ""
    return f"    {kind}{width} {outside(port.name)}"
