// The simulated AXI4 memory: exact in time by default, random in time on request.
//
// Law (cycle = a clock cycle in which valid and ready are both high):
// - addresses are always accepted;
// - read bursts are served in order of acceptance, whatever their id: a burst accepted in cycle t
//   shows its first beat in cycle max(t + latency, previous beat + interval), then a beat every
//   `interval` cycles; a beat waits for its ready;
// - written beats are accepted at most one per `interval` cycles: ready again `interval` cycles
//   after a beat;
// - a write's response shows `latency` cycles after its last beat, in order, one per cycle.
// Random timing keeps AXI's rules and changes all of the above: each of these delays becomes a draw
// of its own, and reads of different ids overtake each other beat by beat.
#pragma once

#include <cstring>
#include <deque>
#include <vector>

#include "pins.hpp"
#include "random.hpp"

enum Response : uint8_t { kOkay = 0, kSlaveError = 2, kDecodeError = 3 };

// Addresses `start` ... `stop` - 1 answer an error.
struct ErrorRange {
  uint64_t start, stop;
  bool read, write;
};

// Delays in cycles, all at least 1 but the latency's own random draw.
class Timing {
 public:
  Timing(uint32_t latency, uint32_t interval) : latency_(latency), interval_(interval) {}
  Timing(uint32_t latency, uint32_t interval, uint64_t seed)
      : latency_(latency), interval_(interval), is_random_(true), random_(seed) {}

  bool is_random() const { return is_random_; }
  // From a read's address to its first beat, or from a write's last beat to its response.
  uint64_t latency() { return is_random_ ? 1 + random_.below(2 * latency_) : latency_; }
  // From a beat to the next one.
  uint64_t beat() { return is_random_ ? gap() : interval_; }
  // From an address or a response to the next one.
  uint64_t single() { return is_random_ ? gap() : 1; }
  bool overtakes() { return is_random_ && random_.below(2); }

 private:
  // Long runs without any gap alternate with slow phases.
  uint64_t gap() {
    if (random_.below(64) == 0) slowness_ = random_.below(4);
    return random_.below(4) < slowness_ ? 1 + random_.below(4 * slowness_ * interval_) : 1;
  }

  uint32_t latency_, interval_;
  bool is_random_ = false;
  uint64_t slowness_ = 0;
  Random random_{0};
};

class Memory {
 public:
  Memory(uint8_t* bytes, uint64_t size) : bytes_(bytes), size_(size) {}

  void set_timing(const Timing& timing) { timing_ = timing; }
  void set_errors(std::vector<ErrorRange> ranges) { ranges_ = std::move(ranges); }

  // Forgets everything in flight.
  void reset() {
    reads_.clear();
    writes_.clear();
    beats_.clear();
    responses_.clear();
    reading_ = false;
    next_ar_ = next_aw_ = next_r_ = next_w_ = next_b_ = 0;
  }

  // Sets what the memory drives in cycle `now`.
  void drive(Inputs& in, uint64_t now) {
    in.arready = now >= next_ar_;
    in.awready = now >= next_aw_;
    in.wready = now >= next_w_;
    if (!reading_ && now >= next_r_) offer_read(in, now);
    in.rvalid = reading_;
    in.bvalid = !responses_.empty() && now >= next_b_ && now >= responses_.front().ready;
    if (in.bvalid) {
      in.bid = responses_.front().id;
      in.bresp = responses_.front().response;
    }
  }

  // Takes the transfers of cycle `now`; returns whether a write's response was among them.
  bool observe(const Inputs& in, const Outputs& out, uint64_t now) {
    if (in.rvalid && out.rready) finish_read(now);
    const bool responded = in.bvalid && out.bready;
    if (responded) {
      responses_.pop_front();
      next_b_ = now + timing_.single();
    }
    if (in.arready && out.ar.valid) {
      reads_.push_back({out.ar, 0, now + timing_.latency(), kOkay});
      next_ar_ = now + timing_.single();
    }
    if (in.awready && out.aw.valid) {
      writes_.push_back({out.aw, 0, 0, kOkay});
      next_aw_ = now + timing_.single();
    }
    if (in.wready && out.wvalid) {
      beats_.emplace_back(out);
      next_w_ = now + timing_.beat();
    }
    if (!beats_.empty()) write_beats(now);
    return responded;
  }

 private:
  struct Burst {
    Address address;
    int beat;
    uint64_t ready;
    Response response;
    uint64_t beat_address() const {
      return (address.addr & ~uint64_t(kBusBytes - 1)) + uint64_t(beat) * kBusBytes;
    }
    bool is_last() const { return beat == address.len; }
  };
  struct Beat {
    explicit Beat(const Outputs& out) : strobe(out.wstrb) {
      std::memcpy(data, out.wdata, kBusBytes);
    }
    uint64_t strobe;
    alignas(8) uint8_t data[kBusBytes];
  };
  struct Done {
    uint8_t id;
    Response response;
    uint64_t ready;
  };

  Response respond(uint64_t address, bool write) const {
    if (address + kBusBytes > size_) return kDecodeError;
    for (const ErrorRange& range : ranges_)
      if ((write ? range.write : range.read) && address < range.stop &&
          address + kBusBytes > range.start)
        return kSlaveError;
    return kOkay;
  }

  // The burst to serve next: the oldest, or sometimes the oldest of the other id.
  size_t choose() {
    if (timing_.overtakes())
      for (size_t i = 1; i < reads_.size(); ++i)
        if (reads_[i].address.id != reads_[0].address.id) return i;
    return 0;
  }

  void offer_read(Inputs& in, uint64_t now) {
    if (reads_.empty()) return;
    const size_t chosen = choose();
    const Burst& burst = reads_[chosen];
    if (now < burst.ready) return;
    const uint64_t address = burst.beat_address();
    const Response response = respond(address, false);
    if (response == kOkay)
      std::memcpy(in.rdata, bytes_ + address, kBusBytes);
    else
      std::memset(in.rdata, 0xEE, kBusBytes);
    in.rid = burst.address.id;
    in.rresp = response;
    in.rlast = burst.is_last();
    reading_ = true;
    served_ = chosen;
  }

  void finish_read(uint64_t now) {
    Burst& burst = reads_[served_];
    if (burst.is_last())
      reads_.erase(reads_.begin() + served_);
    else
      ++burst.beat;
    reading_ = false;
    next_r_ = now + timing_.beat();
  }

  // Beats may come before their address: AXI allows it, and random timing makes it happen.
  void write_beats(uint64_t now) {
    while (!beats_.empty() && !writes_.empty()) {
      Burst& burst = writes_.front();
      write(burst, beats_.front());
      beats_.pop_front();
      if (burst.is_last()) {
        responses_.push_back({burst.address.id, burst.response, now + timing_.latency()});
        writes_.pop_front();
      } else {
        ++burst.beat;
      }
    }
  }

  void write(Burst& burst, const Beat& beat) {
    const uint64_t address = burst.beat_address();
    const Response response = respond(address, true);
    if (response != kOkay) {
      burst.response = response;
      return;
    }
    for (int lane = 0; lane < kBusBytes; ++lane)
      if (beat.strobe >> lane & 1) bytes_[address + lane] = beat.data[lane];
  }

  uint8_t* bytes_;
  uint64_t size_;
  Timing timing_{1, 1};
  std::vector<ErrorRange> ranges_;
  std::deque<Burst> reads_, writes_;
  std::deque<Beat> beats_;
  std::deque<Done> responses_;
  bool reading_ = false;
  size_t served_ = 0;
  uint64_t next_ar_ = 0, next_aw_ = 0, next_r_ = 0, next_w_ = 0, next_b_ = 0;
};
