# The kernel of an XRT platform:   vivado -mode batch -source build.tcl, then v++ as README.md says.

set here [file dirname [file normalize [info script]]]
source [file join $here settings.tcl]
source [file join $here package_ip.tcl]

package_accelerator $here $part $channels 1
package_xo -force -xo_path [file join $here sat.xo] -kernel_name sat_card \
    -ip_directory [file join $here ip] -ctrl_protocol user_managed
