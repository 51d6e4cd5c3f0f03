// Drives AXI4-Lite: one access at a time, as a processor's load and store do.
#pragma once

#include "pins.hpp"
#include "random.hpp"

class RegisterDriver {
 public:
  // Each channel starts, and each response is taken, up to 7 cycles late at random.
  void set_random(uint64_t seed) {
    is_random_ = true;
    random_ = Random(seed);
  }
  void set_exact() { is_random_ = false; }

  void write(uint32_t address, uint32_t data) {
    in_ = {};
    in_.s_awaddr = address;
    in_.s_wdata = data;
    aw_ = w_ = b_ = true;
    delay();
  }

  void read(uint32_t address) {
    in_ = {};
    in_.s_araddr = address;
    ar_ = r_ = true;
    delay();
  }

  void reset() { aw_ = w_ = b_ = ar_ = r_ = false; }

  bool is_busy() const { return b_ || r_; }
  uint32_t data() const { return data_; }
  uint8_t response() const { return response_; }

  void drive(Inputs& in) const {
    in.s_awaddr = in_.s_awaddr;
    in.s_wdata = in_.s_wdata;
    in.s_araddr = in_.s_araddr;
    in.s_awvalid = aw_ && age_ >= delays_[0];
    in.s_wvalid = w_ && age_ >= delays_[1];
    in.s_arvalid = ar_ && age_ >= delays_[0];
    in.s_bready = b_ && age_ >= delays_[2];
    in.s_rready = r_ && age_ >= delays_[2];
  }

  void observe(const Inputs& in, const Outputs& out) {
    ++age_;
    if (in.s_awvalid && out.s_awready) aw_ = false;
    if (in.s_wvalid && out.s_wready) w_ = false;
    if (in.s_arvalid && out.s_arready) ar_ = false;
    if (in.s_bready && out.s_bvalid) {
      b_ = false;
      response_ = out.s_bresp;
    }
    if (in.s_rready && out.s_rvalid) {
      r_ = false;
      response_ = out.s_rresp;
      data_ = out.s_rdata;
    }
  }

 private:
  void delay() {
    age_ = 0;
    for (uint64_t& delay : delays_) delay = is_random_ ? random_.below(8) : 0;
  }

  // Still to be sent (aw, w, ar) or to come (b, r).
  bool aw_ = false, w_ = false, b_ = false, ar_ = false, r_ = false;
  Inputs in_;
  uint64_t age_ = 0;
  uint64_t delays_[3] = {};
  uint32_t data_ = 0;
  uint8_t response_ = 0;
  bool is_random_ = false;
  Random random_{0};
};
