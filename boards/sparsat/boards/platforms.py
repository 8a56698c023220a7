"""Amaranth platforms of the VCU1525 and of the Alveo cards with the same pinout.

Sources of the pins: the VCU1525 1.3 board files of the Xilinx board store and the constraints that
Corundum's designs use for VCU1525, Alveo U200 and Alveo U250 alike.
"""

from amaranth.build import Attrs, Clock, DiffPairs, Pins, PinsN, Resource, Subsignal
from amaranth.vendor import XilinxPlatform

from sparsat.boards.pins import read_pins

_PINS = read_pins("vcu1525")
DDR4_CHANNELS = 4
DDR4_SIGNALS = {
    "act_n": "o",
    "adr": "o",
    "ba": "o",
    "bg": "o",
    "cke": "o",
    "cs_n": "o",
    "odt": "o",
    "parity": "o",
    "reset_n": "o",
    "dq": "io",
}
"""Single-ended signals of a memory channel, with their directions."""
QSFP_SIGNALS = {
    "modsell": "o",
    "resetl": "o",
    "modprsl": "i",
    "intl": "i",
    "lpmode": "o",
    "refclk_reset": "o",
    "fs": "o",
}


def _balls(signal: str) -> str:
    return " ".join(_PINS[signal].balls)


def _attrs(signal: str, **more: str) -> Attrs:
    return Attrs(IOSTANDARD=_PINS[signal].standard, **more)


def _pins(signal: str, direction: str) -> tuple[Pins, Attrs]:
    return Pins(_balls(signal), dir=direction), _attrs(signal)


def _pair(p: str, n: str, direction: str) -> DiffPairs:
    return DiffPairs(_balls(p), _balls(n), dir=direction)


def _clock(number: int) -> Resource:
    p, n = (f"default_300mhz_clk{number}_{leg}" for leg in "pn")
    return Resource("clk300", number, _pair(p, n, "i"), Clock(300e6), _attrs(p))


def _ddr4(channel: int) -> Resource:
    name = f"ddr4_{channel}"
    single = (
        Subsignal(signal, *_pins(f"{name}_{signal}", direction))
        for signal, direction in DDR4_SIGNALS.items()
    )
    pairs = (
        Subsignal(
            signal,
            _pair(f"{name}_{signal}_t", f"{name}_{signal}_c", direction),
            _attrs(f"{name}_{signal}_t"),
        )
        for signal, direction in (("ck", "o"), ("dqs", "io"))
    )
    return Resource("ddr4", channel, *single, *pairs)


def _qsfp(number: int) -> Resource:
    name = f"qsfp{number}"
    controls = (
        Subsignal(signal, *_pins(f"{name}_{signal}", direction))
        for signal, direction in QSFP_SIGNALS.items()
    )
    links = (
        Subsignal(link, _pair(f"{name}_{link}_p", f"{name}_{link}_n", direction))
        for link, direction in (
            ("rx", "i"),
            ("tx", "o"),
            ("mgt_refclk_0", "i"),
            ("mgt_refclk_1", "i"),
        )
    )
    return Resource("qsfp", number, *controls, *links)


def _pcie() -> Resource:
    return Resource(
        "pcie_x16",
        0,
        Subsignal("rst", PinsN(_balls("pcie_perst_n"), dir="i"), _attrs("pcie_perst_n")),
        Subsignal("clk", _pair("pcie_refclk_p", "pcie_refclk_n", "i")),
        Subsignal("rx", _pair("pcie_rx_p", "pcie_rx_n", "i")),
        Subsignal("tx", _pair("pcie_tx_p", "pcie_tx_n", "o")),
    )


class _VCU1525Family(XilinxPlatform):
    """Resources that the cards share; memory channel i has clock `clk300` i."""

    default_clk = "clk300"
    default_rst = "rst"
    connectors: list = []  # noqa: RUF012 (the form of every platform)
    resources = [  # noqa: RUF012
        *(_clock(number) for number in range(4)),
        Resource("rst", 0, PinsN(_balls("cpu_reset"), dir="i"), _attrs("cpu_reset")),
        *(Resource("led", n, *_pins(f"gpio_led_{n}_ls", "o")) for n in range(3)),
        *(Resource("switch", n, *_pins(f"gpio_dip_sw{n + 1}", "i")) for n in range(4)),
        Resource(
            "uart",
            0,
            Subsignal("tx", Pins(_balls("usb_uart_tx"), dir="o")),
            Subsignal("rx", Pins(_balls("usb_uart_rx"), dir="i")),
            _attrs("usb_uart_tx"),
        ),
        Resource(
            "i2c",
            0,
            Subsignal("scl", Pins(_balls("iic_scl_main"), dir="io")),
            Subsignal("sda", Pins(_balls("iic_sda_main"), dir="io")),
            Subsignal("reset", PinsN(_balls("iic_mux_reset_b"), dir="o")),
            _attrs("iic_scl_main"),
        ),
        _pcie(),
        *(_qsfp(number) for number in range(2)),
        *(_ddr4(channel) for channel in range(DDR4_CHANNELS)),
    ]


class VCU1525Platform(_VCU1525Family):
    """The VCU1525 developer card: XCVU9P, four channels of DDR4-2400, PCIe Gen3 x16."""

    device, package, speed = "xcvu9p", "fsgd2104", "2L-e"


class AlveoU200Platform(_VCU1525Family):
    """Alveo U200: the VCU1525's pinout."""

    device, package, speed = "xcu200", "fsgd2104", "2-e"


class AlveoU250Platform(_VCU1525Family):
    """Alveo U250: the VCU1525's pinout around a larger device."""

    device, package, speed = "xcu250", "figd2104", "2L-e"
