// The cycle loop around one machine, and the C functions that Python calls (machine.py).
#include <limits>
#include <string>
#include <vector>

#include "memory.hpp"
#include "model.hpp"
#include "registers.hpp"
#include "rules.hpp"

namespace {

constexpr uint64_t kNever = std::numeric_limits<uint64_t>::max();
constexpr int kResetCycles = 4;

struct Machine {
  Machine(uint8_t* bytes, uint64_t size, const char* vcd) : model(vcd), memory(bytes, size) {}

  void cycle() {
    memory.drive(in, now);
    registers.drive(in);
    model.cycle(in, out);
    if (in.aresetn) observe();
    ++now;
  }

  void observe() {
    if (broken.empty()) {
      broken = rules.check(in, out);
      if (!broken.empty()) broken += " (cycle " + std::to_string(now) + ")";
    }
    if (memory.observe(in, out, now)) response_cycles.push_back(now);
    registers.observe(in, out);
    if (out.interrupt && interrupted == kNever) interrupted = now;
  }

  void reset() {
    memory.reset();
    rules.reset();
    registers.reset();
    broken.clear();
    in.aresetn = false;
    for (int i = 0; i < kResetCycles; ++i) cycle();
    in.aresetn = true;
    restart();
  }

  // Begins the record of a run.
  void restart() {
    response_cycles.clear();
    interrupted = kNever;
  }

  // Finishes the register access that was begun; returns whether it took at most `limit` cycles.
  bool finish_access(uint64_t limit) {
    for (; registers.is_busy(); cycle())
      if (limit-- == 0 || !broken.empty()) return false;
    return true;
  }

  Model model;
  Memory memory;
  RegisterDriver registers;
  Rules rules;
  Inputs in;
  Outputs out;
  uint64_t now = 0;
  uint64_t interrupted = kNever;
  std::vector<uint64_t> response_cycles;
  std::string broken;
};

}  // namespace

extern "C" {

Machine* machine_new(uint8_t* bytes, uint64_t size, const char* vcd) {
  return new Machine(bytes, size, vcd);
}

void machine_delete(Machine* machine) { delete machine; }

void machine_reset(Machine* machine) { machine->reset(); }

void machine_set_exact(Machine* machine, uint32_t latency, uint32_t interval) {
  machine->memory.set_timing(Timing(latency, interval));
  machine->registers.set_exact();
}

void machine_set_random(Machine* machine, uint32_t latency, uint32_t interval, uint64_t seed) {
  machine->memory.set_timing(Timing(latency, interval, seed));
  machine->registers.set_random(~seed);
}

void machine_set_errors(Machine* machine, const ErrorRange* ranges, uint64_t count) {
  machine->memory.set_errors({ranges, ranges + count});
}

// Both return AXI's response code, or -1 if the access did not finish within `limit` cycles.
int machine_write(Machine* machine, uint32_t address, uint32_t data, uint64_t limit) {
  machine->registers.write(address, data);
  return machine->finish_access(limit) ? machine->registers.response() : -1;
}

int machine_read(Machine* machine, uint32_t address, uint32_t* data, uint64_t limit) {
  machine->registers.read(address);
  if (!machine->finish_access(limit)) return -1;
  *data = machine->registers.data();
  return machine->registers.response();
}

// Runs up to `cycles` cycles, or until the interrupt pin is high if `until_interrupt`.
void machine_advance(Machine* machine, uint64_t cycles, bool until_interrupt) {
  while (cycles-- && machine->broken.empty()) {
    if (until_interrupt && machine->interrupted != kNever) return;
    machine->cycle();
  }
}

void machine_restart(Machine* machine) { machine->restart(); }

uint64_t machine_now(const Machine* machine) { return machine->now; }

// First cycle since the last restart in which the interrupt pin was high, or 2^64 - 1.
uint64_t machine_interrupted(const Machine* machine) { return machine->interrupted; }

// Cycle in which write response number `count` (from 1) since the last restart was accepted, or
// 2^64 - 1.
uint64_t machine_response_cycle(const Machine* machine, uint64_t count) {
  const auto& cycles = machine->response_cycles;
  return count >= 1 && count <= cycles.size() ? cycles[count - 1] : kNever;
}

// The rule of AXI4 that the machine broke first, or an empty text.
const char* machine_broken(const Machine* machine) { return machine->broken.c_str(); }

}  // extern "C"
