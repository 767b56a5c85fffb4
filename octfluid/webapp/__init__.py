"""The web page, on one's own computer: outline one scan or volume, look at it, save the results."""
