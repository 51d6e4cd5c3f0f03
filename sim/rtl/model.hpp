// The verilated machine, one clock cycle at a time.
#pragma once

#include <cstring>
#include <memory>

#include "Vmachine.h"
#include "pins.hpp"
#include "verilated.h"
#if VM_TRACE
#include "verilated_vcd_c.h"
#endif

class Model {
 public:
  // Writes a VCD waveform to `vcd` unless it is null.
  explicit Model(const char* vcd) {
#if VM_TRACE
    if (vcd) {
      context_.traceEverOn(true);
      trace_ = std::make_unique<VerilatedVcdC>();
      top_.trace(trace_.get(), 99);
      trace_->open(vcd);
    }
#else
    (void)vcd;
#endif
  }

  ~Model() {
    top_.final();
#if VM_TRACE
    if (trace_) trace_->close();
#endif
  }

  // Takes the rising clock edge that begins a cycle with inputs `in` (see clocked.v), settles, and
  // reads `out`.
  void cycle(const Inputs& in, Outputs& out) {
    drive(in);
    top_.aclk = 1;
    top_.eval();
    sample(out);
    dump();
    top_.aclk = 0;
    top_.eval();
    dump();
  }

 private:
  void drive(const Inputs& in) {
    top_.aresetn = in.aresetn;
    top_.m_axi_awready = in.awready;
    top_.m_axi_wready = in.wready;
    top_.m_axi_arready = in.arready;
    top_.m_axi_bvalid = in.bvalid;
    top_.m_axi_bid = in.bid;
    top_.m_axi_bresp = in.bresp;
    top_.m_axi_rvalid = in.rvalid;
    top_.m_axi_rid = in.rid;
    top_.m_axi_rresp = in.rresp;
    top_.m_axi_rlast = in.rlast;
    std::memcpy(&top_.m_axi_rdata, in.rdata, kBusBytes);
    top_.s_axi_awvalid = in.s_awvalid;
    top_.s_axi_awaddr = in.s_awaddr;
    top_.s_axi_wvalid = in.s_wvalid;
    top_.s_axi_wdata = in.s_wdata;
    top_.s_axi_bready = in.s_bready;
    top_.s_axi_arvalid = in.s_arvalid;
    top_.s_axi_araddr = in.s_araddr;
    top_.s_axi_rready = in.s_rready;
  }

  void sample(Outputs& out) const {
    out.aw = {bool(top_.m_axi_awvalid), top_.m_axi_awid,    top_.m_axi_awlen,
              top_.m_axi_awsize,        top_.m_axi_awburst, top_.m_axi_awaddr};
    out.ar = {bool(top_.m_axi_arvalid), top_.m_axi_arid,    top_.m_axi_arlen,
              top_.m_axi_arsize,        top_.m_axi_arburst, top_.m_axi_araddr};
    out.wvalid = top_.m_axi_wvalid;
    out.wlast = top_.m_axi_wlast;
    out.wstrb = top_.m_axi_wstrb;
    std::memcpy(out.wdata, &top_.m_axi_wdata, kBusBytes);
    out.bready = top_.m_axi_bready;
    out.rready = top_.m_axi_rready;
    out.s_awready = top_.s_axi_awready;
    out.s_wready = top_.s_axi_wready;
    out.s_bvalid = top_.s_axi_bvalid;
    out.s_bresp = top_.s_axi_bresp;
    out.s_arready = top_.s_axi_arready;
    out.s_rvalid = top_.s_axi_rvalid;
    out.s_rresp = top_.s_axi_rresp;
    out.s_rdata = top_.s_axi_rdata;
    out.interrupt = top_.__SYM__interrupt;  // a word that Verilator keeps for itself
  }

  // A clock cycle is 10 time units in the waveform.
  void dump() {
#if VM_TRACE
    if (trace_) trace_->dump(time_);
    time_ += 5;
#endif
  }

  VerilatedContext context_;
  Vmachine top_{&context_};
#if VM_TRACE
  std::unique_ptr<VerilatedVcdC> trace_;
  uint64_t time_ = 0;
#endif
};
