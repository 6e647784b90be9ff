"""Keys of a server's users: who they are, what they may use, and what they have used."""
