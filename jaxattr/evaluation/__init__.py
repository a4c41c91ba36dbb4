"""Jobs over photographs: what the command line runs, with files in and out."""
