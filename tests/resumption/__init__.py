"""Sessions that outlive their connections: what a client does, a world without sockets, and what may go wrong in it."""
