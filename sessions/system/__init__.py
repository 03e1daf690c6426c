"""What the installation is made of, and how it does: checks, workers, queue, versions."""
