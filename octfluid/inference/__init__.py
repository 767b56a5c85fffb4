"""Prediction with exported models: ONNX Runtime and nothing else. No module of this package imports torch."""
