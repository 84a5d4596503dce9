"""System-dynamics forecasts that say what they rest on."""

from beltcast.model import Model, load_model

__version__ = "0.1.0"

__all__ = ["Model", "__version__", "load_model"]
