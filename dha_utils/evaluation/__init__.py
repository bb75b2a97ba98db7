"""From responses and keep masks to accuracies, their intervals and comparisons."""
