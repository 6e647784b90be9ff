"""The server's side: starts, watches and talks to the engine process."""
