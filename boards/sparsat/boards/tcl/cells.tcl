# Short forms for block designs.

# A cell of the block design: its kind, name, and the properties it is to have.
proc cell {vlnv name properties} {
    create_bd_cell -type ip -vlnv $vlnv $name
    set settings {}
    foreach {key value} $properties {
        lappend settings CONFIG.$key $value
    }
    if {[llength $settings]} {
        set_property -dict $settings [get_bd_cells $name]
    }
}

# Pairs of pins, and of interfaces, that are connected.
proc pins {args} {
    foreach {from to} $args {
        connect_bd_net [get_bd_pins $from] [get_bd_pins $to]
    }
}

proc buses {args} {
    foreach {from to} $args {
        connect_bd_intf_net [get_bd_intf_pins $from] [get_bd_intf_pins $to]
    }
}

# An interface of the card, outside the design.
proc port_of {pin name} {
    make_bd_intf_pins_external -name $name [get_bd_intf_pins $pin]
}

# Where a master finds a slave.
proc segment {space slave offset range} {
    assign_bd_address -offset $offset -range $range \
        -target_address_space [get_bd_addr_spaces $space] [get_bd_addr_segs $slave]
}

# A project that knows the accelerator, with an empty block design `card`.
proc open_design {here part} {
    create_project -force card [file join $here build card] -part $part
    set_property ip_repo_paths [file join $here ip] [current_project]
    update_ip_catalog
    create_bd_design card
}

# The design is complete: make it the project's top.
proc close_design {here} {
    validate_bd_design
    save_bd_design
    make_wrapper -files [get_files card.bd] -top -import
    set_property top card_wrapper [current_fileset]
    add_files -fileset constrs_1 [file join $here card.xdc]
    update_compile_order -fileset sources_1
}

# Synthesis, placement and routing, reports, bitstream.
proc implement {here jobs} {
    launch_runs impl_1 -to_step write_bitstream -jobs $jobs
    wait_on_run impl_1
    if {[get_property PROGRESS [get_runs impl_1]] ne "100%"} {
        error "implementation failed, see the logs below [file join $here build card]"
    }
    open_run impl_1
    set reports [file join $here reports]
    file mkdir $reports
    report_utilization -hierarchical -file [file join $reports utilization.txt]
    report_timing_summary -max_paths 20 -file [file join $reports timing.txt]
    report_power -file [file join $reports power.txt]
    write_bitstream -force [file join $here sat.bit]
    if {[get_property SLACK [get_timing_paths]] < 0} {
        puts "WARNING: timing is not met, see reports/timing.txt"
    }
}
