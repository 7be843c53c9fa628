"""The driver with atheris, for one target: ``python -m tests.fuzz`` starts it. IO."""

import random
import sys

import atheris

# What is imported before is not instrumented.
with atheris.instrument_imports(include=["jarvis_proxy"]):
    from tests.fuzz.corpus import inputs
    from tests.fuzz.mutate import mutate
    from tests.fuzz.targets import NAMES, load

    TARGETS = {name: load(name) for name in NAMES}


def main() -> None:
    """Fuzz until libFuzzer ends the process."""
    target = TARGETS[sys.argv[1]]
    others = list(inputs(target.name).values())

    def change(data: bytes, most: int, seed: int) -> bytes:
        rng = random.Random(seed)
        if rng.random() < 0.5:
            return bytes(atheris.Mutate(data, most))
        return mutate(data, rng, target.tokens, others)[:most]

    atheris.Setup([sys.argv[0], *sys.argv[2:]], target.check, custom_mutator=change)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
