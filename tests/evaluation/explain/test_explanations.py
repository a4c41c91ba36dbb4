"""The file of one map."""

import pytest

from jaxattr.evaluation.explain.explanations import load_explanation


@pytest.mark.parametrize("content", [None, b"", b"no archive"])
def test_what_is_no_explanation_is_refused(tmp_path, content):
    path = tmp_path / "x.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.npz: (no such file|not an explanation)"):
        load_explanation(path)
