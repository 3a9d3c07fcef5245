"""A synthetic hospital: dirty CSV deliveries and the answers a correct pipeline must reach."""
