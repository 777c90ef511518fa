"""What a service stores: jobs, durable events, dead letters."""
