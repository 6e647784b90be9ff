"""What commands share on the terminal: tables, progress, questions, exit codes."""
