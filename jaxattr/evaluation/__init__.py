"""Jobs over photographs: what the command line runs, with files in and out."""

from jaxattr.evaluation.evaluate.curves import Curve
from jaxattr.evaluation.evaluate.evaluate import evaluate
from jaxattr.evaluation.evaluate.metric import Metric
from jaxattr.evaluation.evaluate.results import Evaluation, MethodScores
from jaxattr.evaluation.methods.registry import Method

__all__ = ["Curve", "Evaluation", "Method", "MethodScores", "Metric", "evaluate"]
