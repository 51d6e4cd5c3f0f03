// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): the same sequence from a seed on every machine.
#pragma once

#include <cstdint>

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  // 0 ... bound - 1; bound is far below 2^32, so the bias does not matter.
  uint64_t below(uint64_t bound) { return (next() >> 32) % bound; }

 private:
  uint64_t next() {
    uint64_t z = state_ += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }

  uint64_t state_;
};
