"""The driver of a card, on the accelerator in Verilator and on files that stand for devices."""

import numpy as np
import pytest
import torch
from torch import nn

from sat_bed import TINY, good
from sparsat.boards.driver import Accelerator, AcceleratorError
from sparsat.boards.transports import CHANNEL_BYTES, XDMA, Simulated, open_transport
from sparsat.hw.config import preset
from sparsat.hw.image import join, split
from sparsat.hw.instruction import Error
from sparsat.hw.isa.instructions import Halt, LoadA, Vector
from sparsat.hw.register_map import ID, VERSION, Control, Interrupt, State, config_id, register_map
from sparsat.sim.training.compiled import compile_step
from sparsat.sim.training.hyper import Hyper
from sparsat.sim.training.session import Session

CARD = preset("vcu1525")
BLOCK = 64 * CARD.line_bytes


@pytest.fixture(scope="module")
def accelerator():
    return Accelerator(TINY, Simulated(TINY))


def test_a_layer_leaves_the_right_bytes_and_cycles(accelerator):
    program, before, after, cycles = good()
    memory = before.copy()
    found = accelerator.run(program, memory)
    np.testing.assert_array_equal(memory, after)
    assert (found.cycles, found.overflow) == (cycles, False)
    assert found.stalls["EXEC"] == accelerator.read("STALL_EXEC") > 0


class OnCard:
    """`Machine` by the driver."""

    def __init__(self, accelerator):
        self.accelerator = accelerator

    def run(self, program, memory, on_vector):
        return self.accelerator.run(program, memory, on_vector).overflow


def test_a_step_of_training_equals_the_golden_model(accelerator):
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 8))
    x, y = torch.randn(4, 16), torch.tensor([0, 3, 5, 7])
    compiled = compile_step(TINY, model, (x,), (y,), nn.CrossEntropyLoss(), (2, 8))
    session = Session(compiled, model, OnCard(accelerator))
    hyper = Hyper(rate=0.05, momentum=0.9, decay=5e-4, masked_decay=2e-4, scale=2.0**10)
    losses = [session.step((x, y), hyper).loss for _ in range(2)]
    assert losses[1] < losses[0]
    assert len(session.compared) > 10


def test_an_error_names_itself_and_the_instruction(accelerator):
    memory = np.zeros(64 * TINY.line_bytes, np.uint8)
    with pytest.raises(AcceleratorError, match="FIELD at instruction 1, LOAD_A") as caught:
        accelerator.run([LoadA(lines=3), LoadA(lines=0), Halt()], memory)
    assert (caught.value.error, caught.value.instruction) == (Error.FIELD, 1)


def test_after_a_timeout_the_next_program_runs(accelerator):
    program, before, after, _ = good()
    with pytest.raises(TimeoutError, match="is RUNNING after -1 s: it was reset"):
        accelerator.run(program, before.copy(), timeout=-1)
    memory = before.copy()
    accelerator.run(program, memory)
    np.testing.assert_array_equal(memory, after)


def test_another_configuration_is_refused():
    transport = Simulated(TINY)
    with pytest.raises(RuntimeError, match="register CONFIG is 0x"):
        Accelerator(TINY.with_(clock_hz=200e6), transport)


def test_each_port_has_its_part_of_every_line():
    image = np.arange(3 * CARD.line_bytes) // 64 % 256
    parts = split(CARD, image.astype(np.uint8))
    assert [part[::64] for part in parts] == [bytes([p, p + 4, p + 8]) for p in range(4)]
    np.testing.assert_array_equal(join(CARD, parts), image)


class Script(XDMA):
    """XDMA over files; the accelerator asks for two VECTORs, then ends. It stores into line 0
    while the host is at work."""

    pending, started, acknowledged = 0, False, 0

    def write_register(self, offset, value):
        names = {each.offset: each.name for each in register_map(CARD).values()}
        if names.get(offset) == "CONTROL":
            self.started |= bool(value & Control.START)
            self.acknowledged += bool(value & Control.ACKNOWLEDGE)
        super().write_register(offset, value)

    def read_register(self, offset):
        if offset == register_map(CARD)["INTERRUPT_PENDING"].offset and self.started:
            return Interrupt.END if self.acknowledged == 2 else Interrupt.VECTOR
        return super().read_register(offset)


@pytest.fixture
def files(tmp_path):
    for name in ("h2c_0", "c2h_0"):
        (tmp_path / f"xdma0_{name}").symlink_to(tmp_path / "memory")
    (tmp_path / "memory").touch()
    registers = bytearray(4096)
    for name, value in (("ID", ID), ("VERSION", VERSION), ("CONFIG", config_id(CARD))):
        offset = register_map(CARD)[name].offset
        registers[offset : offset + 4] = value.to_bytes(4, "little")
    registers[register_map(CARD)["STATUS"].offset] = State.DONE
    (tmp_path / "xdma0_user").write_bytes(registers)
    return tmp_path


def test_xdma_reaches_every_channel_and_writes_only_what_changed(files):
    memory = np.random.default_rng(1).integers(0, 256, BLOCK, np.uint8)
    first = memory.copy()
    transport = Script(folder=files)

    def host(op, image):
        image[CARD.line_bytes] += 1
        transport.write_memory(0, 0, b"stored")  # by the accelerator, meanwhile

    Accelerator(CARD, transport).run([Vector(), Vector(), Halt()], memory, host)
    expected = first.copy()
    expected[:6] = np.frombuffer(b"stored", np.uint8)
    expected[CARD.line_bytes] += 2
    np.testing.assert_array_equal(memory, expected)
    with open(files / "memory", "rb") as file:
        for channel in range(4):
            file.seek(channel * CHANNEL_BYTES)
            assert file.read(BLOCK // 4) == split(CARD, expected)[channel]
    user = (files / "xdma0_user").read_bytes()
    assert int.from_bytes(user[0x38:0x40], "little") == 2 * BLOCK
    assert int.from_bytes(user[0x28:0x2C], "little") == 3


class Silent(XDMA):
    """No interrupt comes."""

    def read_register(self, offset):
        waits = offset == register_map(CARD)["INTERRUPT_PENDING"].offset
        return 0 if waits else super().read_register(offset)


def test_a_timeout_says_in_which_state(files):
    accelerator = Accelerator(CARD, Silent(folder=files))
    with pytest.raises(TimeoutError, match="is DONE after -1 s: it was reset"):
        accelerator.run([Halt()], np.zeros(BLOCK, np.uint8), timeout=-1)
    assert accelerator.read("CONTROL") == Control.RESET


@pytest.mark.parametrize(
    ("device", "error", "message"),
    [
        ("xdma9", FileNotFoundError, "no card: /dev/xdma9_user is missing"),
        ("sat.xclbin", RuntimeError, "pyxrt is missing, install XRT"),
        ("pcie", ValueError, "device is 'pcie', it must be simulated, xdma0"),
    ],
)
def test_no_card_is_one_clear_line(device, error, message):
    with pytest.raises(error, match=message) as caught:
        open_transport(device, TINY)
    assert "\n" not in str(caught.value)
