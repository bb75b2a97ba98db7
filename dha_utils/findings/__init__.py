"""From the results of experiments to tables and outcomes."""
