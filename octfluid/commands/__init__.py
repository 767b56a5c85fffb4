"""Command lines that come with the package: what ``tools/predict.py`` and ``octfluid-predict`` share."""
