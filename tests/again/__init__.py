"""Property tests: silver is a function of the deliveries, whatever the order of loading."""
