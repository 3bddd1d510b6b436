"""Hooks of MkDocs: the guide is the home page, its pictures are made by its own code, links to the repository work."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import re
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[2]
HOME, SPECIFICATION = "guide/README.md", "README.md"
#: Links in the text, and definitions of reference links.
_LINK = re.compile(r"(\]\(|^\[[^\]\n]+\]: )([^)#:\s]+)((?:#[^)\s]*)?(?:\)|$))", re.MULTILINE)
_log = logging.getLogger("mkdocs.hooks.cubragg")


def _script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def on_config(config: Any) -> Any:
    """List pages that the navigation does not name at the end of the tutorials and of the specification."""
    text = Path(config["config_file_path"]).read_text(encoding="utf-8")
    pages = sorted(path.relative_to(ROOT / "specs").as_posix() for path in (ROOT / "specs").rglob("*.md"))
    for page in pages:
        if not re.search(rf"[\s\[]{re.escape(page)}[\s,\]]", text):
            title = "Tutorials" if page.startswith("guide/") else "Specification"
            next(part[title] for part in config["nav"] if title in part).append(page)
    return config


def on_files(files: Any, config: Any) -> Any:
    """Make the guide's first page that of the site, and add the pictures that pages make."""
    files.get_file_from_path(HOME).dest_uri = "index.html"
    files.get_file_from_path(SPECIFICATION).dest_uri = "specification/index.html"
    pages = _script("run_page")
    for file in list(files.documentation_pages()):
        text = Path(file.abs_src_path).read_text(encoding="utf-8")
        names = pages.pictures(text)
        if not file.src_uri.startswith("guide/") or not names:
            continue
        if lacking := pages.missing(text):
            _log.warning(f"{file.src_uri}: its pictures need {', '.join(lacking)}")
            continue
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            pages.run_page(Path(file.abs_src_path))
            for name in names:
                content = Path(folder, name).read_bytes()
                files.append(File.generated(config, f"guide/{name}", content=content))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Turn links to files beside specs/ and to folders into links to the repository; warn if there is no file."""
    folder = Path(page.file.abs_src_path).parent
    documents = Path(config["docs_dir"]).resolve()

    def rewritten(found: re.Match[str]) -> str:
        target = Path(os.path.normpath(folder / found[2]))
        if target.is_relative_to(documents) and not target.is_dir():
            return found[0]  # MkDocs's own
        if not target.exists():
            _log.warning(f"{page.file.src_uri}: a link to {found[2]}, which does not exist")
        return f"{found[1]}{config['repo_url']}/blob/main/{target.relative_to(ROOT).as_posix()}{found[3]}"

    return _LINK.sub(rewritten, markdown)
