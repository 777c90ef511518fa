"""The contracts between client, gateway and service. No I/O; imports nothing else of ours."""
