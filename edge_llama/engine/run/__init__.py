"""Steps through llama.cpp."""
