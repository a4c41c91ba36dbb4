"""What worker processes read with in tests: they find functions of a module only."""

import os
import pathlib
import signal


def negative(item):
    if item == 3:
        raise ValueError("image 3: damaged")
    return os.getpid(), -item


def die_at(folder, most, item):
    """Item 2 kills its process, ``most`` times."""
    deaths = pathlib.Path(folder)
    if item == 2 and len(list(deaths.iterdir())) < most:
        (deaths / str(os.getpid())).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return -item


class Numbers:
    """A source in Python, which says who read it."""

    def __init__(self, images, folder):
        self.images, self.folder = images, folder

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        (pathlib.Path(self.folder) / f"{os.getpid()} {index}").touch()
        return self.images[index], index % 4
