# The project of a card whose memory belongs to a Zynq UltraScale+ processor, with one memory port:
#   vivado -mode batch -source build.tcl
#
# The board's own files tell Vivado how the processor is wired: they must be installed.

set here [file dirname [file normalize [info script]]]
source [file join $here settings.tcl]
source [file join $here package_ip.tcl]
source [file join $here cells.tcl]

set REGISTERS 0xA0000000
set REGISTER_BYTES 0x10000

proc add_processor {clock_mhz} {
    cell xilinx.com:ip:zynq_ultra_ps_e:3.5 ps {}
    apply_bd_automation -rule xilinx.com:bd_rule:zynq_ultra_ps_e \
        -config {apply_board_preset 1} [get_bd_cells ps]
    set_property -dict [list \
        CONFIG.PSU__USE__M_AXI_GP0 1 CONFIG.PSU__USE__M_AXI_GP1 0 CONFIG.PSU__USE__M_AXI_GP2 0 \
        CONFIG.PSU__USE__S_AXI_GP2 1 CONFIG.PSU__USE__IRQ0 1 \
        CONFIG.PSU__FPGA_PL0_ENABLE 1 \
        CONFIG.PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ $clock_mhz] [get_bd_cells ps]
}

proc connect_processor {} {
    pins \
        ps/pl_clk0 reset/slowest_sync_clk  ps/pl_resetn0 reset/ext_reset_in \
        ps/pl_clk0 ps/maxihpm0_fpd_aclk  ps/pl_clk0 ps/saxihp0_fpd_aclk \
        ps/pl_clk0 sat/ap_clk  reset/peripheral_aresetn sat/ap_rst_n \
        ps/pl_clk0 registers/aclk  reset/interconnect_aresetn registers/aresetn \
        ps/pl_clk0 memory/aclk  reset/interconnect_aresetn memory/aresetn \
        sat/interrupt ps/pl_ps_irq0
    buses \
        ps/M_AXI_HPM0_FPD registers/S00_AXI  registers/M00_AXI sat/s_axi_control \
        sat/m_axi_0 memory/S00_AXI  memory/M00_AXI ps/S_AXI_HP0_FPD
}

package_accelerator $here $part $channels 0
open_design $here $part
set_property board_part [lindex [get_board_parts *$board_part*] end] [current_project]
cell sparsat:sparsat:sat_card:1.0 sat {}
cell xilinx.com:ip:proc_sys_reset:5.0 reset {}
cell xilinx.com:ip:smartconnect:1.0 registers {NUM_SI 1 NUM_MI 1}
cell xilinx.com:ip:smartconnect:1.0 memory {NUM_SI 1 NUM_MI 1}
add_processor $clock_mhz
connect_processor
segment ps/Data sat/s_axi_control/reg0 $REGISTERS $REGISTER_BYTES
segment sat/m_axi_0 ps/SAXIGP2/HP0_DDR_LOW 0x0 0x80000000
close_design $here
implement $here $jobs
