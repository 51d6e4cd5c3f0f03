// Checks the machine's side of AXI4 in every cycle: what a memory may take for granted.
#pragma once

#include <cstring>
#include <deque>
#include <string>

#include "pins.hpp"

class Rules {
 public:
  void reset() { *this = Rules(); }

  // Looks at one cycle; returns the rule that it breaks, or an empty text.
  std::string check(const Inputs& in, const Outputs& out) {
    const char* broken = nullptr;
    if (out.aw.valid) broken = shape(out.aw);
    if (out.ar.valid && !broken) broken = shape(out.ar);
    if (!broken) broken = stability(out);
    if (!broken) broken = last_beats(in, out);
    previous_ = out;
    aw_waits_ = out.aw.valid && !in.awready;
    ar_waits_ = out.ar.valid && !in.arready;
    w_waits_ = out.wvalid && !in.wready;
    return broken ? broken : "";
  }

 private:
  static const char* shape(const Address& address) {
    constexpr uint32_t kPage = 4096;
    if (1 << address.size != kBusBytes) return "a burst's beats must be as wide as the bus";
    if (address.burst != 1) return "a burst must be of type INCR";
    const uint32_t first = address.addr % kPage & ~uint32_t(kBusBytes - 1);
    if (first + (address.len + 1u) * kBusBytes > kPage)
      return "a burst must not cross a 4 KiB boundary";
    return nullptr;
  }

  const char* stability(const Outputs& out) const {
    if (aw_waits_ && !same(out.aw, previous_.aw)) return "AW must be stable until it is ready";
    if (ar_waits_ && !same(out.ar, previous_.ar)) return "AR must be stable until it is ready";
    if (w_waits_ &&
        !(out.wvalid && out.wlast == previous_.wlast && out.wstrb == previous_.wstrb &&
          std::memcmp(out.wdata, previous_.wdata, kBusBytes) == 0))
      return "W must be stable until it is ready";
    return nullptr;
  }

  static bool same(const Address& a, const Address& b) {
    return a.valid == b.valid && a.id == b.id && a.len == b.len && a.addr == b.addr;
  }

  // WLAST marks the last beat of each burst, and no other.
  const char* last_beats(const Inputs& in, const Outputs& out) {
    if (out.aw.valid && in.awready) lengths_.push_back(out.aw.len);
    if (out.wvalid && in.wready) lasts_.push_back(out.wlast);
    while (!lengths_.empty() && !lasts_.empty()) {
      const bool expected = beat_ == lengths_.front();
      if (lasts_.front() != expected) return "WLAST must mark the last beat of a burst";
      lasts_.pop_front();
      beat_ = expected ? 0 : beat_ + 1;
      if (expected) lengths_.pop_front();
    }
    return nullptr;
  }

  Outputs previous_;
  bool aw_waits_ = false, ar_waits_ = false, w_waits_ = false;
  std::deque<uint8_t> lengths_;
  std::deque<bool> lasts_;
  int beat_ = 0;
};
