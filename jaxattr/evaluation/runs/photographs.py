"""The loop of jobs that take photograph files one after the other, and their files.

Such a job writes files for each photograph (``STEM.boundary.npz``, ``STEM.png``) as soon
as they are made. A record in ``out/parts`` says from what each was made: started again, a
job writes only the files that are missing, damaged, or of other settings, weights or
pixels. So a changed option makes the files anew, and nothing stale stays under its name.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from jaxattr._locations import is_url
from jaxattr.evaluation.runs.digests import digest, file_digest
from jaxattr.evaluation.runs.files import file_name, make_folder
from jaxattr.evaluation.runs.models import Model, as_seen
from jaxattr.evaluation.runs.parts import MadeFrom, Parts
from jaxattr.evaluation.runs.progress import Progress
from jaxattr.evaluation.runs.read_ahead import Workers, images_ahead
from jaxattr.evaluation.runs.readers import Reader
from jaxattr.evaluation.runs.run_record import Run, write_run
from jaxattr.evaluation.runs.shards import WHOLE, Shard
from jaxattr.evaluation.runs.stems import unique_stems
from jaxattr.photographs.reading import read_photograph
from jaxattr.typing import Array


class Photograph(NamedTuple):
    """One photograph of a job."""

    path: pathlib.Path
    stem: str
    """What its files of results are called after."""
    with_endings: tuple[str, ...]
    """What those are called after that have an ending, one an ending."""
    image: Array
    """``(1, H, W, 3)``, as the model sees it."""
    pixels: str
    """A digest of the image."""


class Photographs:
    """The photographs of a job that can be read, one after the other.

    Args:
      paths: photograph files.
      model: a classifier; see ``Model``.
      out: the folder of their ``ResultFiles``, in which no two photographs share a
        stem, whichever call they belong to; None for those of one call.
      workers: who reads ahead; see ``read_ahead``.
      endings: of the stems that each has beside its own; see ``unique_stems``.
      shard: which share of them is read. They are called as in a run of all.
    """

    def __init__(
        self,
        paths: Iterable[str | os.PathLike[str]],
        model: Model,
        out: str | os.PathLike[str] | None = None,
        workers: Workers = None,
        endings: Sequence[str] = (),
        shard: Shard = WHOLE,
    ) -> None:
        self._workers = workers
        self._every = [pathlib.Path(path) for path in paths]
        self._mine = [i for i in range(len(self._every)) if shard.has(i)]
        self._paths = [self._every[i] for i in self._mine]
        self._is_share = shard.count > 1
        self._model = model
        self._endings = tuple(endings)
        self._record = None if out is None else pathlib.Path(out) / "parts/stems.json"
        self.broken: list[str] = []
        """One line for each photograph that could not be read so far: which, and why."""

    def __len__(self) -> int:
        return len(self._paths)

    def __iter__(self) -> Iterator[Photograph]:
        """Each in its turn; the next ones are read meanwhile.

        Raises:
          ValueError: at the end, where not one could be read, but for a share.
        """
        self.broken.clear()
        every = unique_stems(self._every, self._record, endings=self._endings)
        stems = [every[i] for i in self._mine]
        seen_by_model = lambda _, image: as_seen(self._model, image)
        reader = Reader(self._paths.__getitem__, read_photograph, seen_by_model)
        one_by_one = [[i] for i in range(len(self._paths))]
        ahead = images_ahead(reader, one_by_one, workers=self._workers)
        for path, own, (seen,) in zip(self._paths, stems, ahead, strict=True):
            if isinstance(seen, ValueError):
                self.broken.append(str(seen))
                continue
            yield Photograph(path, *own, jnp.asarray(seen)[None], digest(seen))
        self._refuse_none(self.broken)

    def check_one_can_be_read(self) -> None:
        """Looks for the first that can be read, before anything is written.

        Raises:
          ValueError: there is none.
        """
        broken: list[str] = []
        for path in self._paths:
            try:
                read_photograph(path)
                return
            except ValueError as error:
                broken.append(str(error))
        self._refuse_none(broken)

    def _refuse_none(self, broken: Sequence[str]) -> None:
        if broken and len(broken) == len(self) and not self._is_share:
            several = f"none of {len(self)} photographs could be read; the first: "
            raise ValueError((several if len(self) > 1 else "") + broken[0])


class ResultFiles:
    """Files of results in a folder, each written once.

    Args:
      out: the folder, of this machine; made if need be.
      settings: what decides all of them, as JSON takes it.
      progress: where each is reported; None for nowhere.
      run: the command, for ``run.json``.
    """

    def __init__(
        self,
        out: str | os.PathLike[str],
        settings: Mapping[str, object],
        progress: Progress | None = None,
        run: Run | None = None,
    ) -> None:
        if is_url(out):
            raise ValueError(f"{out}: expected a folder of this machine")
        self.folder = make_folder(out)
        write_run(self.folder, run)
        self._parts = Parts(self.folder / "parts")
        self._settings = dict(settings)
        self._progress = progress

    def write(
        self,
        name: str,
        made_from: MadeFrom,
        files: Sequence[pathlib.Path],
        write: Callable[[], Mapping[str, ArrayLike] | None],
        *,
        label: str = "",
    ) -> dict[str, np.ndarray]:
        """Writes files, unless they are there as the same job wrote them.

        Args:
          name: of the record, for readers of the folder.
          made_from: all that decides the files but for the settings of the job.
          files: what ``write`` writes.
          write: writes them, and returns what is known of them but not in them (the
            seconds that it took, say), arrays or numbers by name; None for nothing.
          label: what is reported when they are there; the empty text for nothing. Where
            ``write`` returns ``seconds`` they are named, too.

        Returns:
          What ``write`` returned, now or then.

        Raises:
          OSError: they cannot be written.
        """
        made_from = {**self._settings, **made_from, "files": [f.name for f in files]}
        record = file_name(name)
        if self._progress and label:
            self._progress.doing(label)
        facts = self._parts.find(record, made_from)
        found = facts is not None and facts["digests"].tolist() == _digests(files)
        if not found:
            written = write() or {}
            facts = self._parts.remake(
                record, made_from, {**written, "digests": _digests(files)}
            )
        assert facts is not None
        if self._progress and label:
            took = f", {float(facts['seconds']):.1f} s" if "seconds" in facts else ""
            self._progress.finished(label + took, found=found)
        return facts


def _digests(files: Sequence[pathlib.Path]) -> list[str]:
    """Of each file; the empty text for one that is not there."""
    return [file_digest(file) if file.is_file() else "" for file in files]
