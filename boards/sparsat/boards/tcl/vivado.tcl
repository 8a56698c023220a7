# The whole project of a card with PCIe and DDR4:   vivado -mode batch -source build.tcl
#
# PCIe (XDMA) reads and writes the memory of all channels, and the accelerator's registers. Memory
# channel i lies at i · 16 GiB for the host, and at 0 for the accelerator's port i.

set here [file dirname [file normalize [info script]]]
source [file join $here settings.tcl]
source [file join $here package_ip.tcl]
source [file join $here cells.tcl]

set CHANNEL_BYTES 0x400000000
set REGISTER_BYTES 0x10000

proc add_pcie {} {
    cell xilinx.com:ip:util_ds_buf:2.2 pcie_clock {C_BUF_TYPE IBUFDSGTE C_SIZE 1}
    cell xilinx.com:ip:xdma:4.1 pcie {
        functional_mode DMA
        mode_selection Advanced
        pl_link_cap_max_link_width X16
        pl_link_cap_max_link_speed 8.0_GT/s
        axi_data_width 512_bit
        axisten_freq 250
        axilite_master_en true
        axilite_master_size 64
        axilite_master_scale Kilobytes
        xdma_num_usr_irq 1
        xdma_rnum_chnl 1
        xdma_wnum_chnl 1
    }
    port_of pcie_clock/CLK_IN_D pcie_refclk
    port_of pcie/pcie_mgt pcie
    make_bd_pins_external -name pcie_perst_n [get_bd_pins pcie/sys_rst_n]
    pins pcie_clock/IBUF_OUT pcie/sys_clk_gt  pcie_clock/IBUF_DS_ODIV2 pcie/sys_clk
}

# Controller and crossbar of channel i, with the parameters of the card's board preset.
proc add_memory {i clock_mhz} {
    cell xilinx.com:ip:ddr4:2.2 ddr4_$i {
        C0.DDR4_MemoryType RDIMMs
        C0.DDR4_MemoryPart MTA18ASF2G72PZ-2G3
        C0.DDR4_TimePeriod 833
        C0.DDR4_InputClockPeriod 3332
        C0.DDR4_CLKOUT0_DIVIDE 5
        C0.DDR4_CasLatency 17
        C0.DDR4_CasWriteLatency 12
        C0.DDR4_DataWidth 72
        C0.DDR4_DataMask NONE
        C0.DDR4_Ecc true
        C0.DDR4_AxiSelection true
        C0.DDR4_AxiDataWidth 512
        C0.DDR4_AxiAddressWidth 34
        C0.DDR4_Mem_Add_Map ROW_COLUMN_BANK
    }
    if {$i == 0} {
        set_property CONFIG.ADDN_UI_CLKOUT1_FREQ_HZ $clock_mhz [get_bd_cells ddr4_0]
    }
    port_of ddr4_$i/C0_SYS_CLK clk300_$i
    port_of ddr4_$i/C0_DDR4 ddr4_c$i
    cell xilinx.com:ip:smartconnect:1.0 crossbar_$i {NUM_SI 2 NUM_MI 1 NUM_CLKS 3}
    cell xilinx.com:ip:proc_sys_reset:5.0 memory_reset_$i {}
    pins \
        ddr4_$i/c0_ddr4_ui_clk memory_reset_$i/slowest_sync_clk \
        ddr4_$i/c0_ddr4_ui_clk_sync_rst memory_reset_$i/ext_reset_in \
        memory_reset_$i/peripheral_aresetn ddr4_$i/c0_ddr4_aresetn \
        memory_reset_$i/interconnect_aresetn crossbar_$i/aresetn \
        ddr4_$i/c0_ddr4_ui_clk crossbar_$i/aclk \
        ddr4_0/addn_ui_clkout1 crossbar_$i/aclk1 \
        pcie/axi_aclk crossbar_$i/aclk2 \
        no_reset/dout ddr4_$i/sys_rst
    buses \
        sat/m_axi_$i crossbar_$i/S00_AXI \
        host_crossbar/[format M%02d_AXI $i] crossbar_$i/S01_AXI \
        crossbar_$i/M00_AXI ddr4_$i/C0_DDR4_S_AXI
}

proc add_accelerator {channels} {
    cell sparsat:sparsat:sat_card:1.0 sat {}
    cell xilinx.com:ip:proc_sys_reset:5.0 sat_reset {}
    cell xilinx.com:ip:xlconstant:1.1 no_reset {CONST_WIDTH 1 CONST_VAL 0}
    cell xilinx.com:ip:smartconnect:1.0 registers {NUM_SI 1 NUM_MI 1 NUM_CLKS 2}
    cell xilinx.com:ip:smartconnect:1.0 host_crossbar [list NUM_SI 1 NUM_MI $channels]
}

# The accelerator's interrupt is a level, held until the host has answered it.
proc connect_accelerator {} {
    pins \
        ddr4_0/addn_ui_clkout1 sat_reset/slowest_sync_clk \
        ddr4_0/c0_ddr4_ui_clk_sync_rst sat_reset/ext_reset_in \
        ddr4_0/addn_ui_clkout1 sat/ap_clk \
        sat_reset/peripheral_aresetn sat/ap_rst_n \
        pcie/axi_aclk registers/aclk \
        ddr4_0/addn_ui_clkout1 registers/aclk1 \
        pcie/axi_aresetn registers/aresetn \
        pcie/axi_aclk host_crossbar/aclk \
        pcie/axi_aresetn host_crossbar/aresetn \
        sat/interrupt pcie/usr_irq_req
    buses \
        pcie/M_AXI host_crossbar/S00_AXI \
        pcie/M_AXI_LITE registers/S00_AXI \
        registers/M00_AXI sat/s_axi_control
}

proc assign_addresses {channels} {
    global CHANNEL_BYTES REGISTER_BYTES
    for {set i 0} {$i < $channels} {incr i} {
        set block ddr4_$i/C0_DDR4_MEMORY_MAP/C0_DDR4_ADDRESS_BLOCK
        segment sat/m_axi_$i $block 0x0 $CHANNEL_BYTES
        segment pcie/M_AXI $block [format 0x%llx [expr {$i * $CHANNEL_BYTES}]] $CHANNEL_BYTES
    }
    segment pcie/M_AXI_LITE sat/s_axi_control/reg0 0x0 $REGISTER_BYTES
}

package_accelerator $here $part $channels 0
open_design $here $part
add_accelerator $channels
add_pcie
for {set i 0} {$i < $channels} {incr i} {
    add_memory $i $clock_mhz
}
connect_accelerator
assign_addresses $channels
close_design $here
implement $here $jobs
