"""Commands about models on disk: pull, import, list, show, verify, path, rm."""
