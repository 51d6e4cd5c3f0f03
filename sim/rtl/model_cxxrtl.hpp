// The machine as CXXRTL wrote it, one clock cycle at a time.
#pragma once

#include <cstring>

#include "machine.cpp"
#include "pins.hpp"

namespace pin {

// An output is a wire if a register drives it, else a value.
template <size_t Bits>
const cxxrtl::value<Bits>& current(const cxxrtl::value<Bits>& pin) { return pin; }
template <size_t Bits>
const cxxrtl::value<Bits>& current(const cxxrtl::wire<Bits>& pin) { return pin.curr; }

template <typename T, typename Pin>
void read(T& to, const Pin& pin) { to = current(pin).template get<T>(); }
template <typename Pin>
void read(bool& to, const Pin& pin) { to = current(pin).data[0] & 1; }
template <typename Pin>
void read_bytes(uint8_t* to, const Pin& pin) { std::memcpy(to, current(pin).data, kBusBytes); }

}  // namespace pin

class Model {
 public:
  explicit Model(const char*) {}

  // Drives `in`, settles, reads `out`, and takes the rising clock edge.
  void cycle(const Inputs& in, Outputs& out) {
    top_.p_aclk.set<bool>(false);
    drive(in);
    top_.step();
    sample(out);
    top_.p_aclk.set<bool>(true);
    top_.step();
  }

 private:
  void drive(const Inputs& in) {
    top_.p_aresetn.set<bool>(in.aresetn);
    top_.p_m__axi__awready.set<bool>(in.awready);
    top_.p_m__axi__wready.set<bool>(in.wready);
    top_.p_m__axi__arready.set<bool>(in.arready);
    top_.p_m__axi__bvalid.set<bool>(in.bvalid);
    top_.p_m__axi__bid.set<uint8_t>(in.bid);
    top_.p_m__axi__bresp.set<uint8_t>(in.bresp);
    top_.p_m__axi__rvalid.set<bool>(in.rvalid);
    top_.p_m__axi__rid.set<uint8_t>(in.rid);
    top_.p_m__axi__rresp.set<uint8_t>(in.rresp);
    top_.p_m__axi__rlast.set<bool>(in.rlast);
    std::memcpy(top_.p_m__axi__rdata.data, in.rdata, kBusBytes);
    top_.p_s__axi__awvalid.set<bool>(in.s_awvalid);
    top_.p_s__axi__awaddr.set<uint32_t>(in.s_awaddr);
    top_.p_s__axi__wvalid.set<bool>(in.s_wvalid);
    top_.p_s__axi__wdata.set<uint32_t>(in.s_wdata);
    top_.p_s__axi__wstrb.set<uint8_t>(0xF);
    top_.p_s__axi__bready.set<bool>(in.s_bready);
    top_.p_s__axi__arvalid.set<bool>(in.s_arvalid);
    top_.p_s__axi__araddr.set<uint32_t>(in.s_araddr);
    top_.p_s__axi__rready.set<bool>(in.s_rready);
  }

  void sample(Outputs& out) const {
    pin::read(out.aw.valid, top_.p_m__axi__awvalid);
    pin::read(out.aw.id, top_.p_m__axi__awid);
    pin::read(out.aw.len, top_.p_m__axi__awlen);
    pin::read(out.aw.size, top_.p_m__axi__awsize);
    pin::read(out.aw.burst, top_.p_m__axi__awburst);
    pin::read(out.aw.addr, top_.p_m__axi__awaddr);
    pin::read(out.ar.valid, top_.p_m__axi__arvalid);
    pin::read(out.ar.id, top_.p_m__axi__arid);
    pin::read(out.ar.len, top_.p_m__axi__arlen);
    pin::read(out.ar.size, top_.p_m__axi__arsize);
    pin::read(out.ar.burst, top_.p_m__axi__arburst);
    pin::read(out.ar.addr, top_.p_m__axi__araddr);
    pin::read(out.wvalid, top_.p_m__axi__wvalid);
    pin::read(out.wlast, top_.p_m__axi__wlast);
    pin::read(out.wstrb, top_.p_m__axi__wstrb);
    pin::read_bytes(out.wdata, top_.p_m__axi__wdata);
    pin::read(out.bready, top_.p_m__axi__bready);
    pin::read(out.rready, top_.p_m__axi__rready);
    pin::read(out.s_awready, top_.p_s__axi__awready);
    pin::read(out.s_wready, top_.p_s__axi__wready);
    pin::read(out.s_bvalid, top_.p_s__axi__bvalid);
    pin::read(out.s_bresp, top_.p_s__axi__bresp);
    pin::read(out.s_arready, top_.p_s__axi__arready);
    pin::read(out.s_rvalid, top_.p_s__axi__rvalid);
    pin::read(out.s_rresp, top_.p_s__axi__rresp);
    pin::read(out.s_rdata, top_.p_s__axi__rdata);
    pin::read(out.interrupt, top_.p_interrupt);
  }

  cxxrtl_design::p_machine top_;
};
