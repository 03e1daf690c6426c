"""Files of unknown origin are read by a process of its own, so that a hostile one hurts nothing else."""
