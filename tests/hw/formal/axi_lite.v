module checked (
  input clk, input rst,
  input [7:0] awaddr, input awvalid, input [31:0] wdata, input [3:0] wstrb, input wvalid,
  input bready, input [7:0] araddr, input arvalid, input rready,
  input writable, input readable, input [31:0] read_data
);
  wire awready, wready, bvalid, arready, rvalid, write;
  wire [1:0] bresp, rresp;
  wire [31:0] rdata, write_data;
  wire [7:0] write_address, read_address;
  wire [3:0] write_strobe;
  dut dut (
    .clk(clk), .rst(rst),
    .bus__awaddr(awaddr), .bus__awprot(3'b0), .bus__awvalid(awvalid), .bus__awready(awready),
    .bus__wdata(wdata), .bus__wstrb(wstrb), .bus__wvalid(wvalid), .bus__wready(wready),
    .bus__bresp(bresp), .bus__bvalid(bvalid), .bus__bready(bready),
    .bus__araddr(araddr), .bus__arprot(3'b0), .bus__arvalid(arvalid), .bus__arready(arready),
    .bus__rdata(rdata), .bus__rresp(rresp), .bus__rvalid(rvalid), .bus__rready(rready),
    .write(write), .write_address(write_address), .write_data(write_data),
    .write_strobe(write_strobe), .writable(writable),
    .read_address(read_address), .readable(readable), .read_data(read_data)
  );
  stays #(2) b_stays (clk, rst, bvalid, bready, bresp);
  stays #(34) r_stays (clk, rst, rvalid, rready, {rresp, rdata});

  reg [1:0] owed_aw = 0, owed_w = 0, owed_ar = 0, late_b = 0, late_r = 0;
  reg [7:0] aw = 0, ar = 0;
  reg [35:0] w = 0;
  reg writes = 0, good = 0, reads = 0, found = 0, fresh = 1;
  reg [31:0] value = 0;
  always @(posedge clk) begin
    fresh <= 0;
    // What is owed, and by when.
    owed_aw <= owed_aw + (awvalid && awready) - (bvalid && bready);
    owed_w <= owed_w + (wvalid && wready) - (bvalid && bready);
    owed_ar <= owed_ar + (arvalid && arready) - (rvalid && rready);
    late_b <= (owed_aw && owed_w && !bvalid) ? late_b + 1 : 0;
    late_r <= (owed_ar && !rvalid) ? late_r + 1 : 0;
    if (awvalid && awready) aw <= awaddr;
    if (wvalid && wready) w <= {wstrb, wdata};
    if (arvalid && arready) ar <= araddr;
    assert (owed_aw == !awready + bvalid);
    assert (owed_w == !wready + bvalid);
    assert (owed_ar == !arready + rvalid);
    assert (late_b < 2 && late_r < 2);
    if (late_b) assert (owed_aw == 1);
    // A word is written once, before its answer, as it came.
    writes <= write;
    good <= writable;
    if (!awready) assert (write_address == aw);
    if (!wready) assert ({write_strobe, write_data} == w);
    if (write) assert (!awready && !wready && !bvalid);
    if (writes) assert (bvalid && bresp == (good ? 2'b00 : 2'b10));
    // What is read was there in the cycle before, at the address that was asked for.
    if (!arready) assert (read_address == ar);
    reads <= !arready && !rvalid;
    found <= readable;
    value <= read_data;
    if (reads) assert (rvalid && rresp == (found ? 2'b00 : 2'b10) && rdata == (found ? value : 0));
    if (rst) {owed_aw, owed_w, owed_ar, late_b, late_r, writes, reads} <= 0;
    cover (writes && reads);
    if (fresh) assume (rst);
  end
endmodule
