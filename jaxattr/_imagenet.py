"""Mean and standard deviation of ImageNet's pixels in [0, 1], per channel RGB."""

MEAN = (0.485, 0.456, 0.406)
STDDEV = (0.229, 0.224, 0.225)
