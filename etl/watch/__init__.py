"""Says what is wrong, in words, to whoever asks or has to be told."""
