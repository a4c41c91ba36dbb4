"""What all jobs share: parts that are kept, progress, files, tables, models."""
