"""One damaged file never takes the rest down: every file of the data folder, damaged in every way, against all that
reads the folder. What cannot be read is told; nothing answers with a traceback, and nothing waits for ever."""

import random
import signal

import damages
import pytest
import wholefolder
from looks import Looks

SECONDS = 20  # for one look at everything; it takes a third of one
SAMPLED = 25


@pytest.fixture(scope="module")
def looks(tmp_path_factory):
    data = tmp_path_factory.mktemp("damage") / "data"
    data.mkdir()
    found = Looks(data, wholefolder.build(data))
    assert found.all() == [], "the whole folder can be looked at"
    return found


def cases(data) -> list:
    return [(path, damage) for path in damages.files(data) for damage in damages.DAMAGES]


def check(looks, chosen, seed: int) -> None:
    chance, wrong = random.Random(seed), []
    for path, damage in chosen:
        signal.signal(signal.SIGALRM, lambda *_, at=(path, damage): pytest.fail(f"stuck at {at}"))
        signal.alarm(SECONDS)
        with damages.damaged(looks.data, path, damage, chance):
            wrong += [f"{path.relative_to(looks.data)} {damage.__name__}: {line}" for line in looks.all()]
        signal.alarm(0)
    assert wrong == [], "\n" + "\n".join(wrong)


def test_no_damaged_file_takes_a_page_a_command_or_an_action_down(looks):
    check(looks, random.Random(1).sample(cases(looks.data), SAMPLED), seed=2)


@pytest.mark.slow
def test_none_of_all_files_damaged_in_all_ways_does(looks):
    check(looks, cases(looks.data), seed=0)
