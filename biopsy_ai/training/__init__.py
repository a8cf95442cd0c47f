"""Train the network on synthetic and real sections."""

from biopsy_ai.training.run import train_model, tune_model
from biopsy_ai.training.trainer import TrainConfig

__all__ = ["TrainConfig", "train_model", "tune_model"]
