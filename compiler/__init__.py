"""ONNX file -> graph -> quantised layers -> mapping -> command stream."""
