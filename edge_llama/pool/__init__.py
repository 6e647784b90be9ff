"""The models that are served: loaded on demand, within a limit of memory."""
