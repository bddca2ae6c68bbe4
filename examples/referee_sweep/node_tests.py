"""Writes ONNX's own tests of single nodes into a folder: node_tests.py FOLDER.

The Python package onnx makes them on demand; its `generate-data` command leaves them out.
"""

import sys
from types import SimpleNamespace

from onnx.backend.test import cmd_tools, loader

cmd_tools.model_test.collect_testcases = loader.load_node_model_tests
cmd_tools.generate_data(SimpleNamespace(output=sys.argv[1]))
