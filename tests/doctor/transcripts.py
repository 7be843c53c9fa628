"""Golden transcripts: what the doctor prints for one set-up, kept in golden/.

``UPDATE_GOLDEN=1 pytest tests/doctor`` writes them anew; the difference is to be read.
"""

import os
from pathlib import Path
from typing import Final

from tests.doctor.fixtures import Transcript, without_volatile

GOLDEN: Final = Path(__file__).resolve().parent / "golden"


def assert_golden(name: str, transcript: Transcript) -> None:
    """Compare a transcript, without what differs from run to run, with the one that is kept."""
    path = GOLDEN / f"{name}.txt"
    text = f"{without_volatile(transcript.text)}exit code {transcript.code}\n"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")

    assert path.read_text(encoding="utf-8") == text
