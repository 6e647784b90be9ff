"""The engine process: takes requests in, loads the model, runs the steps."""
