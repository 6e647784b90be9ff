"""What can be measured: the raw loop, the engine, a server, an address."""
