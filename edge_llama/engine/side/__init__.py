"""Prompts that are read beside the step loop, in a context and on threads of their own."""
