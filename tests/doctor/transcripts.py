"""Golden transcripts, kept in golden/: what the doctor prints for one setup.

``UPDATE_GOLDEN=1 pytest tests/doctor`` writes them again; read the difference.
"""

import os
from pathlib import Path
from typing import Final

from tests.doctor.fixtures import Transcript, normalized

GOLDEN: Final = Path(__file__).resolve().parent / "golden"


def assert_golden(name: str, transcript: Transcript) -> None:
    """Compare a transcript with the kept one, apart from what differs from run to run."""
    path = GOLDEN / f"{name}.txt"
    text = f"{normalized(transcript.text)}exit code {transcript.code}\n"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")

    assert path.read_text(encoding="utf-8") == text
