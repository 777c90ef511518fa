"""State machines without sockets, loops or clocks of their own."""
