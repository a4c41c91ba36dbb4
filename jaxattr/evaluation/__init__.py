"""Jobs over photographs: what the command line runs, with files in and out."""

from jaxattr.evaluation.evaluation_table import Evaluation, MethodScores
from jaxattr.evaluation.protocols import Curve, Metric
from jaxattr.evaluation.registry import Method
from jaxattr.evaluation.scoring import evaluate

__all__ = ["Curve", "Evaluation", "Method", "MethodScores", "Metric", "evaluate"]
