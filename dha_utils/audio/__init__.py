"""From a file to a waveform, to what can be seen of it, and to what is wrong with it."""
