"""The fuzzers in short form: a changed input ends well or in an error of our own. The long form: tests/soak/fuzz.py."""

import random

import fuzzers
import pytest

EACH = 60


@pytest.fixture(scope="module")
def readers(tmp_path_factory):
    return {reader.name: reader for reader in fuzzers.all_readers(tmp_path_factory.mktemp("fuzz"))}


def test_what_is_changed_is_read_before_it_is(readers):
    for reader in readers.values():
        for data in reader.inputs:
            reader.read(data)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # what Pillow says of a damaged TIFF
def test_no_changed_input_raises_anything_but_our_own_errors(readers):
    wrong = []
    for reader in readers.values():
        for i in range(EACH):
            if found := fuzzers.tried(reader, random.Random(f"short {reader.name} {i}")):
                wrong.append(f"{reader.name} input {i}: {found}")
    assert wrong == []
