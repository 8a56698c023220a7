"""DDR4-2400 behind each port at 300 MHz, command by command: every command looks back at all that
was done before and takes the first cycle that no rule forbids. Numbers are the data sheet's, in
cycles of 3.33 ns (four clocks of the memory), rounded up."""

from dataclasses import dataclass, field

from sparsat.hw.config import SATConfig

# ACTIVATE to READ or WRITE, PRECHARGE to ACTIVATE (14.16 ns), ACTIVATE to PRECHARGE (32 ns),
# ACTIVATE to ACTIVATE (46.16 ns), READ and WRITE to PRECHARGE (7.5 ns; 16 clocks and 15 ns).
RCD, RP, RAS, RC, RTP, WTP = 5, 5, 10, 14, 3, 9
# READ to WRITE (11 clocks), WRITE to READ (16 clocks and 7.5 ns); every 7.8 µs 350 ns of refresh.
RTW, WTR, REFI, RFC = 3, 7, 2340, 105


@dataclass
class Bank:
    page: int | None = None
    activates: list[int] = field(default_factory=list)
    reads: list[int] = field(default_factory=list)
    writes: list[int] = field(default_factory=list)

    def may_precharge(self, cycle: int) -> bool:
        return (
            all(cycle >= each + RAS for each in self.activates[-1:])
            and all(cycle >= each + RTP for each in self.reads[-1:])
            and all(cycle >= each + WTP for each in self.writes[-1:])
        )

    def may_activate(self, cycle: int) -> bool:
        return all(cycle >= each + RC for each in self.activates[-1:])


class SlowDdr4:
    def __init__(self, config: SATConfig) -> None:
        self.page_lines = 8192 // (config.axi_bits // 8)
        self.banks = [Bank() for _ in range(16)]
        self.refreshes = 0
        self.refreshed = 0  # end of the last refresh
        self.last_read = self.last_write = -REFI

    def serve(self, asked: int, now: int, line: int, lines: int, write: bool) -> int:
        """The cycle of the first line's command."""
        page = line // self.page_lines
        bank = self.banks[page % 16]
        while True:
            activate, ready = self.open(bank, page, asked)
            first = max(now, ready, self.last_read + RTW if write else self.last_write + WTR)
            if first < (self.refreshes + 1) * REFI:
                break
            self.refresh()
        if activate is not None:
            bank.activates.append(activate)
            bank.page = page
        cycles = range(first, first + lines)
        (bank.writes if write else bank.reads).extend(cycles)
        if write:
            self.last_write = cycles[-1]
        else:
            self.last_read = cycles[-1]
        return first

    def open(self, bank: Bank, page: int, asked: int) -> tuple[int | None, int]:
        """The cycle of ACTIVATE where one is needed, and the first for READ or WRITE."""
        if bank.page == page:
            return None, bank.activates[-1] + RCD
        cycle = asked
        if bank.page is not None:
            while not bank.may_precharge(cycle):
                cycle += 1
            cycle += RP
        while not bank.may_activate(cycle) or cycle < self.refreshed:
            cycle += 1
        return cycle, cycle + RCD

    def refresh(self) -> None:
        self.refreshes += 1
        cycle = self.refreshes * REFI
        while not all(bank.page is None or bank.may_precharge(cycle) for bank in self.banks):
            cycle += 1
        self.refreshed = cycle + RP + RFC
        for bank in self.banks:
            bank.page = None
