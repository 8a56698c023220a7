# The accelerator as an IP: one AXI4-Lite slave, one AXI4 master per memory channel, one interrupt.

# Package rtl/*.v below `here` into `here`/ip, as sparsat:sparsat:sat_card:1.0. `vitis` is 1 for a
# kernel, whose control scheme is its own ("user managed": UG1393, RTL kernels).
proc package_accelerator {here part channels vitis} {
    create_project -force package [file join $here build package] -part $part
    add_files [lsort [glob [file join $here rtl *.v]]]
    set_property top sat_card [current_fileset]
    update_compile_order -fileset sources_1

    ipx::package_project -root_dir [file join $here ip] -vendor sparsat -library sparsat \
        -taxonomy /UserIP -import_files -force
    set core [ipx::current_core]
    set_property name sat_card $core
    set_property version 1.0 $core
    set_property display_name "SparSAT accelerator" $core

    ipx::infer_bus_interface ap_clk xilinx.com:signal:clock_rtl:1.0 $core
    ipx::infer_bus_interface ap_rst_n xilinx.com:signal:reset_rtl:1.0 $core
    ipx::infer_bus_interface interrupt xilinx.com:signal:interrupt_rtl:1.0 $core
    set buses s_axi_control
    for {set i 0} {$i < $channels} {incr i} {
        lappend buses m_axi_$i
    }
    foreach bus $buses {
        ipx::associate_bus_interfaces -busif $bus -clock ap_clk $core
    }
    ipx::associate_bus_interfaces -clock ap_clk -reset ap_rst_n $core
    # All bursts increment by whole beats.
    foreach bus [lrange $buses 1 end] {
        set interface [ipx::get_bus_interfaces $bus -of_objects $core]
        foreach {name value} {SUPPORTS_NARROW_BURST 0 HAS_BURST 0} {
            set_property value $value [ipx::add_bus_parameter $name $interface]
        }
    }
    if {$vitis} {
        set_property sdx_kernel true $core
        set_property sdx_kernel_type rtl $core
        set_property vitis_drc {ctrl_protocol user_managed} $core
        add_registers $core $channels
    }
    ipx::create_xgui_files $core
    ipx::update_checksums $core
    ipx::check_integrity $core
    ipx::save_core $core
    close_project
}

# The registers by which the linker knows what each memory port is for.
proc add_registers {core channels} {
    global base_registers
    set map [ipx::get_memory_maps s_axi_control -of_objects $core]
    set block [ipx::get_address_blocks reg0 -of_objects $map]
    for {set i 0} {$i < $channels} {incr i} {
        set register [ipx::add_register memory_$i $block]
        set_property address_offset [lindex $base_registers $i] $register
        set_property size 64 $register
        set parameter [ipx::add_register_parameter ASSOCIATED_BUSIF $register]
        set_property value m_axi_$i $parameter
    }
}
