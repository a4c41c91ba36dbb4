"""What photographs of ImageNet are normalised by, of each channel in [0, 1]."""

MEAN = (0.485, 0.456, 0.406)
STDDEV = (0.229, 0.224, 0.225)
