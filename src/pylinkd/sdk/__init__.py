"""What a service is made of. Authors import it from ``pylinkd`` itself."""
