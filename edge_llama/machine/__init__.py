"""What this machine has: CPUs, memory, instruction sets."""
