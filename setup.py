"""What ``pyproject.toml`` cannot say: the README as a package index shows it.

Its picture and its links are relative, which is right where the repository is browsed. A
package index has no files beside the text. So where the repository is known (workflows of
a public host name it in ``GITHUB_REPOSITORY``) they become absolute, and where it is not,
the picture is left out and links become plain text: nothing shown is broken.
"""

import os
import pathlib
import re

from setuptools import setup


def readme_for_an_index(text: str, repository: str | None, reference: str) -> str:
    """The README without anything relative.

    Args:
      text: the README, in Markdown.
      repository: ``OWNER/NAME`` on GitHub, or None where that is not known.
      reference: the tag or commit that is released.
    """

    def absolute(match: re.Match) -> str:
        bang, name, target = match.groups()
        if re.match(r"[a-z]+:|#", target):
            return match.group()
        if repository is None:
            return "" if bang else name
        if bang:
            place = f"https://raw.githubusercontent.com/{repository}/{reference}"
        else:
            place = f"https://github.com/{repository}/blob/{reference}"
        return f"{bang}[{name}]({place}/{target})"

    return re.sub(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)", absolute, text)


setup(
    long_description=readme_for_an_index(
        (pathlib.Path(__file__).parent / "README.md").read_text(encoding="utf-8"),
        os.environ.get("GITHUB_REPOSITORY"),
        os.environ.get("GITHUB_REF_NAME", "main"),
    ),
    long_description_content_type="text/markdown",
)
