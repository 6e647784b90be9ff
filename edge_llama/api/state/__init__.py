"""What an app and a request carry along, as types."""
