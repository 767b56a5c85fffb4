"""Networks, losses, the segmentor, and how it infers."""
