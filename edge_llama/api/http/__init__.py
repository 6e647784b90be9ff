"""Connections and bytes: what lies below requests and answers."""
