"""From a file to a waveform, to what can be seen of it, and to what is wrong with it."""

from dha_utils.core.surroundings import give_numba_a_cache

give_numba_a_cache()  # before librosa is imported
