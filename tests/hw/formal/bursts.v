// Requests of five engines, memory that answers in order and waits as it likes.
module checked (
  input clk, input rst, input stop, input [28:0] blocks,
  input [4:0] asks, input [5*83-1:0] requests, input [1:0] has_line, input [2*65-1:0] parts,
  input ar_ready, input aw_ready, input w_ready,
  input r_valid, input r_byte, input [1:0] r_resp, input b_valid, input [1:0] b_resp
);
  wire [4:0] taken;
  wire [1:0] line_taken;
  wire ar_valid, aw_valid, w_valid, r_ready, b_ready, drained;
  wire [52:0] ar, aw;
  wire [576:0] w;
  wire [4:0] line_valid, written;
  wire [40:0] written_tag;
  wire [553:0] line;
  wire [2:0] error;
  wire r_last;
  // Of data a bit will do.
  wire [511:0] r_data = r_byte;
  wire [1151:0] lines = {parts[129:66], 511'b0, parts[65], parts[64:1], 511'b0, parts[0]};
  dut dut (
    .clk(clk), .rst(rst), .stop(stop), .blocks(blocks),
    .request_fetch__valid(asks[0]), .request_fetch__ready(taken[0]), .request_fetch__payload(requests[0*83 +: 83]),
    .request_load_a__valid(asks[1]), .request_load_a__ready(taken[1]), .request_load_a__payload(requests[1*83 +: 83]),
    .request_load_b__valid(asks[2]), .request_load_b__ready(taken[2]), .request_load_b__payload(requests[2*83 +: 83]),
    .request_store__valid(asks[3]), .request_store__ready(taken[3]), .request_store__payload(requests[3*83 +: 83]),
    .request_update__valid(asks[4]), .request_update__ready(taken[4]), .request_update__payload(requests[4*83 +: 83]),
    .write_store__valid(has_line[0]), .write_store__ready(line_taken[0]), .write_store__payload(lines[0 +: 576]),
    .write_update__valid(has_line[1]), .write_update__ready(line_taken[1]), .write_update__payload(lines[576 +: 576]),
    .axi_0__ar__valid(ar_valid), .axi_0__ar__ready(ar_ready), .axi_0__ar__payload(ar),
    .axi_0__aw__valid(aw_valid), .axi_0__aw__ready(aw_ready), .axi_0__aw__payload(aw),
    .axi_0__w__valid(w_valid), .axi_0__w__ready(w_ready), .axi_0__w__payload(w),
    .axi_0__r__valid(r_valid), .axi_0__r__ready(r_ready), .axi_0__r__payload({r_last, r_resp, r_data}),
    .axi_0__b__valid(b_valid), .axi_0__b__ready(b_ready), .axi_0__b__payload(b_resp),
    .line_valid(line_valid), .line(line), .written(written), .written_tag(written_tag),
    .error(error), .drained(drained)
  );
  stays #(53) ar_stays (clk, rst, ar_valid, ar_ready, ar);
  stays #(53) aw_stays (clk, rst, aw_valid, aw_ready, aw);
  stays #(66) w_stays (clk, rst, w_valid, w_ready, {w[576:512], w[0]});
  burst ar_burst (clk, ar_valid, ar, blocks);
  burst aw_burst (clk, aw_valid, aw, blocks);

  // What has begun: who asked, its tag, its lines; of reads and writes.
  wire begun = |taken;
  wire [2:0] who = taken[1] ? 1 : taken[2] ? 2 : taken[3] ? 3 : taken[4] ? 4 : 0;
  wire [82:0] request = requests[83*who +: 83];
  wire is_write = request[41];
  wire [50:0] entry = {who, request[42 +: 41], request[34 +: 7]};
  wire [50:0] reading, writing, answering;
  wire any_reading, any_writing, any_answering;
  reg [6:0] beat = 0, sent = 0;
  wire w_last = w[576];
  kept reads (clk, rst, begun && !is_write, r_valid && r_ready && r_last, entry, reading, any_reading);
  kept beats (clk, rst, begun && is_write, w_valid && w_ready && w_last, entry, writing, any_writing);
  kept writes (clk, rst, begun && is_write, b_valid && b_ready, entry, answering, any_answering);
  assign r_last = beat + 1 == reading[6:0];

  reg [3:0] accepted_ar = 0, accepted_w = 0;
  reg [4:0] due_line = 0, due_written = 0;
  reg [40:0] tag = 0, write_tag = 0;
  reg fresh = 1, fails = 0;
  integer i;
  always @(posedge clk) begin
    fresh <= 0;
    if (fresh) assume (rst); else assume (!rst);
    // Engines keep to their contract.
    for (i = 0; i < 5; i = i + 1) if (asks[i]) begin
      assume (requests[83*i + 34 +: 7] != 0 && requests[83*i + 34 +: 7] <= 64);
      assume (requests[83*i +: 6] + requests[83*i + 34 +: 7] <= 64);
    end
    assume (!(asks[0] && requests[41]) && !(asks[1] && requests[83+41]) && !(asks[2] && requests[2*83+41]));
    assume (!(asks[3] && !requests[3*83+41]));
    // Memory answers what it was asked, not more.
    accepted_ar <= accepted_ar + (ar_valid && ar_ready) - (r_valid && r_ready && r_last);
    accepted_w <= accepted_w + (w_valid && w_ready && w_last) - (b_valid && b_ready);
    assume (!r_valid || accepted_ar != 0);
    assume (!b_valid || accepted_w != 0);
    if (r_valid && r_ready) beat <= r_last ? 0 : beat + 1;
    // One burst at a time, of one that asks, unless it is to stop.
    assert ((taken & (taken - 1)) == 0 && (taken & ~asks) == 0);
    if (stop) assert (!begun);
    // A burst's last beat, and no other, says so.
    if (w_valid) assert (any_writing && w_last == (sent + 1 == writing[6:0]));
    if (w_valid && w_ready) sent <= w_last ? 0 : sent + 1;
    // Answers are taken at once, and told to whom they belong.
    if (r_valid) assert (r_ready && any_reading);
    if (b_valid) assert (b_ready && any_answering);
    due_line <= (r_valid && r_ready) << reading[50:48];
    due_written <= (b_valid && b_ready) << answering[50:48];
    tag <= reading[47:7];
    write_tag <= answering[47:7];
    assert (line_valid == due_line && written == due_written);
    if (line_valid) assert (line[512 + 1 +: 41] == tag);
    if (written) assert (written_tag == write_tag);
    fails <= (r_valid && r_resp[1]) || (b_valid && b_resp[1]);
    if (fails) assert (error != 0);
    if (drained) assert (!any_reading && !any_answering);
    if (rst) {accepted_ar, accepted_w, beat, sent, due_line, due_written, fails} <= 0;
    cover (written && any_writing && beat == 1);
  end
endmodule

module burst (input clk, input valid, input [52:0] request, input [28:0] blocks);
  wire [39:0] address = request[39:0];
  always @(posedge clk) if (valid) begin
    assert (address[5:0] == 0 && request[50:48] == 6 && request[52:51] == 1);
    assert (address[11:6] + request[47:40] < 64);
  end
endmodule

// A queue of eight, which is never more than full.
module kept (input clk, input rst, input into, input out, input [50:0] i, output [50:0] o, output any);
  reg [50:0] words [0:7];
  reg [3:0] level = 0;
  reg [2:0] first = 0;
  assign o = words[first];
  assign any = level != 0;
  wire [2:0] free = first + level;
  always @(posedge clk) begin
    if (into) words[free] <= i;
    level <= level + into - out;
    first <= first + out;
    if (rst) {level, first} <= 0;
    assume (level < 8);
  end
endmodule
