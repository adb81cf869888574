"""Every claim of speed, measured beside what it is compared with."""
