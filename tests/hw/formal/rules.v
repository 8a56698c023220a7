module stays #(parameter WIDTH = 1) (
  input clk, input rst, input valid, input ready, input [WIDTH-1:0] payload
);
  reg held = 0;
  reg [WIDTH-1:0] before;
  always @(posedge clk) begin
    if (held) assert (valid && payload == before);
    held <= valid && !ready && !rst;
    before <= payload;
  end
endmodule
