// A queue of four words. One of those that enter, any one, is followed until it leaves.
module checked (
  input clk, input rst, input i_valid, input [7:0] i, input o_ready, input follow
);
  wire i_ready, o_valid;
  wire [7:0] o;
  dut dut (
    .clk(clk), .rst(rst), .i__valid(i_valid), .i__ready(i_ready), .i__payload(i),
    .o__valid(o_valid), .o__ready(o_ready), .o__payload(o)
  );
  stays #(8) o_stays (clk, rst, o_valid, o_ready, o);

  wire into = i_valid && i_ready, out = o_valid && o_ready;
  reg [2:0] level = 0, ahead = 0;
  reg followed = 0, fresh = 1;
  reg [7:0] word = 0;
  always @(posedge clk) begin
    fresh <= 0;
    if (fresh) assume (rst);
    level <= level + into - out;
    assert (level <= 4 && o_valid == (level != 0));
    assert (i_ready == (level != 4 || (`REFILL && o_ready)));
    if (followed) begin
      assert (ahead < level);
      ahead <= ahead - out;
      if (ahead == 0 && o_valid) assert (o == word);
      if (ahead == 0 && out) followed <= 0;
    end else if (follow && into) begin
      followed <= 1;
      ahead <= level - out;
      word <= i;
    end
    cover (followed && ahead == 0 && out && level == 4);
    if (rst) {level, followed} <= 0;
  end
endmodule
