// The machine's pins as plain data: AXI4 master (memory), AXI4-Lite slave (registers), interrupt.
#pragma once

#include <cstdint>

// Bytes per beat of the memory bus; the build passes -DBUS_BYTES.
constexpr int kBusBytes = BUS_BYTES;

// What the harness drives during a cycle.
struct Inputs {
  bool aresetn = false;
  bool awready = false, wready = false, arready = false;
  bool bvalid = false, rvalid = false, rlast = false;
  uint8_t bid = 0, bresp = 0, rid = 0, rresp = 0;
  alignas(8) uint8_t rdata[kBusBytes] = {};
  // AXI4-Lite.
  bool s_awvalid = false, s_wvalid = false, s_bready = false, s_arvalid = false, s_rready = false;
  uint32_t s_awaddr = 0, s_wdata = 0, s_araddr = 0;
};

// One address channel, AW or AR.
struct Address {
  bool valid = false;
  uint8_t id = 0, len = 0, size = 0, burst = 0;
  uint32_t addr = 0;
};

// What the machine drives during the same cycle, settled.
struct Outputs {
  Address aw, ar;
  bool wvalid = false, wlast = false, bready = false, rready = false;
  uint64_t wstrb = 0;
  alignas(8) uint8_t wdata[kBusBytes] = {};
  // AXI4-Lite.
  bool s_awready = false, s_wready = false, s_bvalid = false, s_arready = false, s_rvalid = false;
  uint8_t s_bresp = 0, s_rresp = 0;
  uint32_t s_rdata = 0;
  bool interrupt = false;
};
