"""A folder of results as one HTML file that opens anywhere: ``jaxattr report``.

``kinds`` tells what a folder holds and what is missing, a module for each job turns
tables and arrays into the blocks of a page, ``pictures`` makes pictures small, and
``page`` puts all of it into one file with the style and the script of ``assets/``.
"""

from jaxattr.report.writing import write_report

__all__ = ["write_report"]
