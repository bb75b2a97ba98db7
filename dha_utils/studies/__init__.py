"""The experiments: sweeps, trials, what notebooks start from, and what is kept of it."""
