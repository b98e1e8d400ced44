"""Imports Gradio without the type stubs that it writes anew for every component each time: half of its import."""

from __future__ import annotations

import importlib.abc
import importlib.util
import sys

WRITER = "gradio.component_meta"


class _WithoutStubs(importlib.abc.MetaPathFinder):
    """Finds the module that writes the stubs, and takes the writing out of it. Everything else is left alone."""

    def find_spec(self, name, path, target=None):
        if name != WRITER:
            return None
        sys.meta_path.remove(self)
        if spec := importlib.util.find_spec(name):
            execute = spec.loader.exec_module

            def execute_without(module) -> None:
                execute(module)
                module.create_or_modify_pyi = lambda *_: None

            spec.loader.exec_module = execute_without
        return spec


def prepare() -> None:
    """To be called before the first `import gradio` of a process; does nothing after it."""
    if "gradio" not in sys.modules:
        sys.meta_path.insert(0, _WithoutStubs())
