"""From waveforms to pooled responses, one number per clip and feature map."""
