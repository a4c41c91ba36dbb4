"""Options of methods as text."""

from jaxattr.evaluation.methods import registry
from jaxattr.evaluation.methods.options import parse_options


def test_a_word_may_be_a_number_where_the_method_takes_both():
    asked = {"fampe": registry.method("fampe")}
    for text, value in (("12", 12.0), ("3/2", 1.5), ("step", "step")):
        assert parse_options([f"fampe.cutoff={text}"], asked) == {
            "fampe": {"cutoff": value}
        }
    assert parse_options(["fampe.norm=2"], asked) == {"fampe": {"norm": "2"}}
