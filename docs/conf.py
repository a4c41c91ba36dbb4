"""The site: Sphinx reads the Markdown pages of this folder, the results and notebooks.

The source folder is the root of the repository (``make docs`` says so), so that links
between files mean the same here and where the repository is browsed.

Environment:
  JAXATTR_DOCS_GALLERY: ``off`` leaves out the pictures of the gallery, which take
    minutes the first time.
  JAXATTR_DOCS_EXECUTE: ``off`` runs neither the notebooks nor the first steps.
"""

import os
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]
# Notebooks explain with the library beside these pages, wherever they are run.
os.environ["PYTHONPATH"] = str(HERE.parent)

import jaxattr

project = "jaxattr"
author = "the authors of jaxattr"
copyright = author
version = release = jaxattr.__version__

root_doc = "docs/index"
include_patterns = [
    "docs/**.md",
    "benchmarks/results/*.md",
    "notebooks/*.ipynb",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
]
exclude_patterns = [
    "**/.*",
    ".*",
    "demo",
    "build",
    "dist",
    "jaxattr",
    "tests",
    "docs/_build",
    "docs/_ext",
]
suppress_warnings = ["mystnb.unknown_mime_type", "config.cache"]

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
    "api_pages",
    "command_pages",
    "mathml",
    "other_pages",
    "gallery",
]

autodoc_typehints = "none"  # shapes and units are in the docstrings
autodoc_preserve_defaults = True
toc_object_entries_show_parents = "hide"
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_admonition_for_examples = False

myst_enable_extensions = ["dollarmath", "colon_fence", "deflist", "attrs_inline"]
myst_heading_anchors = 4
myst_dmath_double_inline = True
myst_links_external_new_tab = False

executes = os.environ.get("JAXATTR_DOCS_EXECUTE", "on") != "off"
nb_execution_mode = "cache" if executes else "off"
nb_execution_cache_path = str(HERE / "_build" / ".notebooks")
nb_execution_timeout = 900
nb_execution_raise_on_error = True
nb_merge_streams = True
# Progress on the standard error stream is not for the page.
nb_output_stderr = "remove"

html_theme = "sphinx_book_theme"
html_title = "jaxattr"
html_math_renderer = "mathml"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_extra_path = ["_root"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "show_toc_level": 2,
    "home_page_in_toc": False,
    "use_download_button": False,
    "use_fullscreen_button": False,
    "show_navbar_depth": 1,
    "navbar_start": [],
    "navbar_persistent": [],
}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

# Where a public host builds the site it says which repository it is.
if "GITHUB_REPOSITORY" in os.environ:
    html_theme_options |= {
        "repository_url": f"https://github.com/{os.environ['GITHUB_REPOSITORY']}",
        "use_repository_button": True,
        "use_issues_button": True,
    }

linkcheck_timeout = 20
linkcheck_retries = 2
linkcheck_anchors = False  # pages that draw themselves by a script have none yet
