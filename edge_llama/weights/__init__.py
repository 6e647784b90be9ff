"""Model files: found, downloaded, checked and kept."""
