"""Methods and models scored over a set of images."""
