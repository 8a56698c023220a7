"""Generated projects: their scripts run, and connect and constrain everything."""

import re
from itertools import pairwise

import pytest

import tcl_stub
from sparsat.boards.cards import CARDS, card
from sparsat.boards.constraints import constraints
from sparsat.boards.project import write_project
from sparsat.boards.wrapper import wrapper
from sparsat.hw.config import preset
from sparsat.hw.emit import Port, sat_verilog
from sparsat.hw.register_map import register_map
from sparsat.hw.tools.verilator import lint
from sparsat.hw.tools.yosys import elaborate

needs_tcl = pytest.mark.skipif(not tcl_stub.available(), reason="tclsh is not installed")
CARD, SMALL = preset("vcu1525"), preset("small")


def card_with(channels):
    """As many columns as a line of so many ports holds."""
    cols = min(16 * channels, CARD.cols)
    return CARD.with_(channels=channels, cols=cols, sore_lanes=cols, wuve_lanes=16)


PORTS = [Port("clk", "in", 1), Port("rst", "in", 1), Port("s_axil_awaddr", "in", 12)]


def project(folder, name="vcu1525", flow="vivado", config=CARD):
    return write_project(card(name), flow, config, "module sat; endmodule\n", folder)


def calls(folder, **options):
    project(folder, **options)
    return tcl_stub.calls(folder / "build.tcl")


@needs_tcl
@pytest.mark.parametrize(
    ("name", "flow", "config"),
    [
        (name, flow, config)
        for name, each in CARDS.items()
        for flow in each.flows
        for config in (CARD, SMALL)
        if config.channels <= each.channels
    ],
)
def test_every_script_runs_to_its_end(name, flow, config, tmp_path):
    found = calls(tmp_path, name=name, flow=flow, config=config)
    assert found[-1].startswith("package_xo" if flow == "vitis" else "get_property SLACK")
    assert any(f"-part {card(name).part}" in call for call in found)
    assert any(call.startswith("ipx::package_project") for call in found)


@needs_tcl
def test_a_command_that_vivado_does_not_have_fails(tmp_path):
    project(tmp_path)
    script = tmp_path / "build.tcl"
    script.write_text(script.read_text() + "\nget_bd_cellz sat\n")
    with pytest.raises(RuntimeError, match="get_bd_cellz"):
        tcl_stub.calls(script)


@needs_tcl
@pytest.mark.parametrize("channels", [1, 2, 4])
def test_all_memory_is_connected_and_no_addresses_overlap(channels, tmp_path):
    found = calls(tmp_path, config=card_with(channels))
    made = set(re.findall(r"create_bd_cell .*-vlnv \S+ (\S+)", "\n".join(found)))
    joined = [each for each in found if each.startswith(("connect_bd_net", "connect_bd_intf_net"))]
    used = {end.split("/")[0] for each in joined for end in re.findall(r"[\w]+/[\w/]+", each)}
    assert used == made
    spans: dict[str, list[tuple[int, int]]] = {}
    for each in found:
        if each.startswith("assign_bd_address"):
            offset, size = (int(x, 16) for x in re.findall(r"0x[0-9a-f]+", each))
            (space,) = re.findall(r"get_bd_addr_spaces (\S+?)}", each)
            spans.setdefault(space, []).append((offset, offset + size))
    for i in range(channels):
        assert spans.pop(f"sat/m_axi_{i}") == [(0, 16 << 30)]
    assert set(spans) == {"pcie/M_AXI", "pcie/M_AXI_LITE"}
    ends = sorted(spans["pcie/M_AXI"])
    assert len(ends) == channels
    assert all(a[1] <= b[0] for a, b in pairwise(ends))


@needs_tcl
def test_no_input_of_a_crossbar_is_used_twice(tmp_path):
    found = calls(tmp_path)
    ends = [
        end
        for each in found
        if "connect_bd_intf_net" in each
        for end in re.findall(r"[\w]+/\w+", each)
    ]
    assert len(ends) == len(set(ends))


@pytest.mark.parametrize("channels", [1, 4])
def test_every_clock_and_pin_of_what_is_used_is_constrained(channels):
    text = constraints(card("vcu1525"), card_with(channels))
    clocks = re.findall(r"create_clock -name (\S+)", text)
    assert clocks == ["pcie_refclk", *(f"clk300_{i}" for i in range(channels))]
    balls = re.findall(r"PACKAGE_PIN (\S+?)[ }]", text)
    assert len(balls) == len(set(balls)) == 3 + channels * (2 + 137)
    assert text.count("INTERNAL_VREF") == 3 * channels


@pytest.mark.parametrize(("name", "dies"), [("vcu1525", 3), ("u250", 4)])
def test_every_row_of_the_array_lies_on_one_die(name, dies):
    text = constraints(card(name), CARD)
    groups = [group.split("|") for group in re.findall(r"edge_\(([0-9|]+)\)", text)]
    assert [row for group in groups for row in group] == [str(row) for row in range(32)]
    assert text.count("resize_pblock") == dies
    placed = card(name).floorplan(CARD)
    assert [len(group) for group in groups] == (list(placed.rows) if placed else 4 * [8])


def test_the_wrapper_renames_ports_and_turns_the_reset_round():
    text = wrapper(PORTS)
    assert ".s_axil_awaddr(s_axi_control_awaddr)" in text
    assert "input wire [11:0] s_axi_control_awaddr" in text
    assert ".rst(reset[1])" in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "rfsoc4x2", "flow": "vitis"}, "flow 'vitis' is unknown, it must be vivado"),
        ({"name": "rfsoc4x2"}, "has 4 memory ports, the board has at most 1"),
        ({"name": "u50"}, "board 'u50' is unknown, it must be one of vcu1525"),
    ],
)
def test_what_is_wrong_leaves_nothing(options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        project(tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_what_does_not_fit_the_device_is_refused():
    large = CARD.with_(name="large", rows=120)
    for name in ("vcu1525", "u200"):
        with pytest.raises(ValueError, match=f"{name}: config large does not fit"):
            card(name).check(large, "vivado")
    card("u250").check(large, "vivado")  # of which it is not known
    small_board = card("rfsoc4x2")
    small_board.check(preset("small"), "vivado")
    with pytest.raises(ValueError, match="rfsoc4x2: config large does not fit"):
        small_board.check(large.with_(channels=1, cols=16, sore_lanes=16), "vivado")


@needs_tcl
@pytest.mark.parametrize("channels", [1, 2, 4])
def test_the_kernel_finds_its_memories_by_the_registers_of_the_map(channels, tmp_path):
    config = card_with(channels)
    found = calls(tmp_path, flow="vitis", config=config)
    told = [each.split() for each in found if " address_offset " in each]
    assert [int(each[2], 16) for each in told] == [0x80 + 8 * n for n in range(channels)]
    for n, each in enumerate(told):
        register = register_map(config)[f"MEMORY_BASE_{n}"]
        assert (int(each[2], 16), register.bits) == (register.offset, 64)
        assert f"memory_{n}" in " ".join(each)
    assert len([each for each in found if " size 64 " in each]) == channels


@pytest.fixture(scope="module")
def emitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    write_project(card("vcu1525"), "vivado", preset("tiny"), sat_verilog(preset("tiny")), folder)
    return folder


def test_accelerator_and_wrapper_are_lint_clean(emitted):
    lint([emitted / "rtl/sat.v", emitted / "rtl/sat_card.v"], "sat_card")


def test_yosys_elaborates_them(emitted):
    files = [emitted / "rtl/sat.v", emitted / "rtl/sat_card.v"]
    elaborate("\n".join(file.read_text() for file in files), "sat_card")


def test_yosys_names_a_module_that_is_missing(emitted):
    with pytest.raises(RuntimeError, match=r"sat.* not part of the design"):
        elaborate((emitted / "rtl/sat_card.v").read_text(), "sat_card")
