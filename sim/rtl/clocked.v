// The machine with a register before each of its inputs, which the harness sets for the next cycle.
//
// Inputs so change at the clock edge, together with the machine's registers, and logic settles once
// a cycle. Were they to change between edges, Verilator would settle most of it three times.
// MACHINE, BUS_BITS and REGISTER_BITS are defined by the build.
module clocked(
  input aclk,
  input aresetn,
  output interrupt,

  output [31:0] m_axi_awaddr,
  output [7:0] m_axi_awlen,
  output [2:0] m_axi_awsize,
  output [1:0] m_axi_awburst,
  output m_axi_awid,
  output m_axi_awvalid,
  input m_axi_awready,
  output [`BUS_BITS-1:0] m_axi_wdata,
  output [`BUS_BITS/8-1:0] m_axi_wstrb,
  output m_axi_wlast,
  output m_axi_wvalid,
  input m_axi_wready,
  input m_axi_bid,
  input [1:0] m_axi_bresp,
  input m_axi_bvalid,
  output m_axi_bready,
  output [31:0] m_axi_araddr,
  output [7:0] m_axi_arlen,
  output [2:0] m_axi_arsize,
  output [1:0] m_axi_arburst,
  output m_axi_arid,
  output m_axi_arvalid,
  input m_axi_arready,
  input m_axi_rid,
  input [`BUS_BITS-1:0] m_axi_rdata,
  input [1:0] m_axi_rresp,
  input m_axi_rlast,
  input m_axi_rvalid,
  output m_axi_rready,

  input [`REGISTER_BITS-1:0] s_axi_awaddr,
  input s_axi_awvalid,
  output s_axi_awready,
  input [31:0] s_axi_wdata,
  input s_axi_wvalid,
  output s_axi_wready,
  output [1:0] s_axi_bresp,
  output s_axi_bvalid,
  input s_axi_bready,
  input [`REGISTER_BITS-1:0] s_axi_araddr,
  input s_axi_arvalid,
  output s_axi_arready,
  output [31:0] s_axi_rdata,
  output [1:0] s_axi_rresp,
  output s_axi_rvalid,
  input s_axi_rready
);
  reg reset_n;
  reg awready, wready, bid, bvalid, arready, rid, rlast, rvalid;
  reg [1:0] bresp, rresp;
  reg [`BUS_BITS-1:0] rdata;
  reg s_awvalid, s_wvalid, s_bready, s_arvalid, s_rready;
  reg [`REGISTER_BITS-1:0] s_awaddr, s_araddr;
  reg [31:0] s_wdata;

  always @(posedge aclk) begin
    reset_n <= aresetn;
    awready <= m_axi_awready;
    wready <= m_axi_wready;
    {bid, bresp, bvalid} <= {m_axi_bid, m_axi_bresp, m_axi_bvalid};
    arready <= m_axi_arready;
    {rid, rresp, rlast, rvalid} <= {m_axi_rid, m_axi_rresp, m_axi_rlast, m_axi_rvalid};
    rdata <= m_axi_rdata;
    {s_awaddr, s_awvalid} <= {s_axi_awaddr, s_axi_awvalid};
    {s_wdata, s_wvalid} <= {s_axi_wdata, s_axi_wvalid};
    {s_araddr, s_arvalid} <= {s_axi_araddr, s_axi_arvalid};
    {s_bready, s_rready} <= {s_axi_bready, s_axi_rready};
  end

  `MACHINE `MACHINE(
    .aclk(aclk),
    .aresetn(reset_n),
    .interrupt(interrupt),
    .m_axi_awaddr(m_axi_awaddr),
    .m_axi_awlen(m_axi_awlen),
    .m_axi_awsize(m_axi_awsize),
    .m_axi_awburst(m_axi_awburst),
    .m_axi_awid(m_axi_awid),
    .m_axi_awvalid(m_axi_awvalid),
    .m_axi_awready(awready),
    .m_axi_wdata(m_axi_wdata),
    .m_axi_wstrb(m_axi_wstrb),
    .m_axi_wlast(m_axi_wlast),
    .m_axi_wvalid(m_axi_wvalid),
    .m_axi_wready(wready),
    .m_axi_bid(bid),
    .m_axi_bresp(bresp),
    .m_axi_bvalid(bvalid),
    .m_axi_bready(m_axi_bready),
    .m_axi_araddr(m_axi_araddr),
    .m_axi_arlen(m_axi_arlen),
    .m_axi_arsize(m_axi_arsize),
    .m_axi_arburst(m_axi_arburst),
    .m_axi_arid(m_axi_arid),
    .m_axi_arvalid(m_axi_arvalid),
    .m_axi_arready(arready),
    .m_axi_rid(rid),
    .m_axi_rdata(rdata),
    .m_axi_rresp(rresp),
    .m_axi_rlast(rlast),
    .m_axi_rvalid(rvalid),
    .m_axi_rready(m_axi_rready),
    .s_axi_awaddr(s_awaddr),
    .s_axi_awprot(3'b000),
    .s_axi_awvalid(s_awvalid),
    .s_axi_awready(s_axi_awready),
    .s_axi_wdata(s_wdata),
    .s_axi_wstrb(4'b1111),
    .s_axi_wvalid(s_wvalid),
    .s_axi_wready(s_axi_wready),
    .s_axi_bresp(s_axi_bresp),
    .s_axi_bvalid(s_axi_bvalid),
    .s_axi_bready(s_bready),
    .s_axi_araddr(s_araddr),
    .s_axi_arprot(3'b000),
    .s_axi_arvalid(s_arvalid),
    .s_axi_arready(s_axi_arready),
    .s_axi_rdata(s_axi_rdata),
    .s_axi_rresp(s_axi_rresp),
    .s_axi_rvalid(s_axi_rvalid),
    .s_axi_rready(s_rready)
  );
endmodule
