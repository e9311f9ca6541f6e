// A light that blinks: the classical first circuit.
module blink(input clk, input reset, output led);
    reg [23:0] count;
    always @(posedge clk)
        if (reset) count <= 0; else count <= count + 1;
    assign led = count[23];
endmodule
