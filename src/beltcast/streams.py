"""Named streams of random numbers.

A seed stands for a family of independent streams, one for each name.  Every consumer of random
numbers takes its own stream, so that its numbers depend on the seed and the name alone, not on the
order of calls or on how many numbers other consumers take.  Two functions that need the same
numbers, such as the uncertain sizes of a scenario, use the same name.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from beltcast.errors import InputError


@dataclass(frozen=True)
class Streams:
    """The streams of a seed.

    ``streams.posterior`` is the stream named 'posterior'; request a name that is not a Python
    identifier by ``streams.stream("Foshan, ceramics")``.  Each request returns a new generator at
    the start of the stream.

    Attributes
    ----------
    seed : int
        Not negative.
    path : tuple of str
        Names that these streams lie under.

    Raises
    ------
    InputError
        The seed is negative.

    Examples
    --------
    >>> from beltcast.streams import Streams
    >>> streams = Streams(1)
    >>> streams.noise.random() == streams.noise.random()  # the same stream, from its start
    True
    >>> streams.noise.random() == streams.posterior.random()
    False
    """

    seed: int
    path: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise InputError(f"the seed is {self.seed}; expected a whole number, 0 or more")

    @classmethod
    def of(cls, rng: Random) -> Streams:
        """Return the given streams, those of a seed, or those of a seed drawn from a generator.

        Each call with a generator draws a new seed, so that two calls have different streams.
        """
        if isinstance(rng, Streams):
            return rng
        if isinstance(rng, np.random.Generator):
            return cls(int(rng.integers(2**63)))
        return cls(int(rng))

    def __getattr__(self, name: str) -> np.random.Generator:
        # Python itself looks up names with an underscore, such as when it copies a value.
        if name.startswith("_"):
            raise AttributeError(name)
        return self.stream(name)

    def stream(self, name: str) -> np.random.Generator:
        """Return a new generator at the start of the stream of this name."""
        # The lengths keep ('a', 'bc') apart from ('ab', 'c').
        text = "".join(f"{len(part)}:{part}" for part in (*self.path, name))
        words = np.frombuffer(hashlib.sha256(text.encode("utf-8")).digest()[:16], dtype="<u4")
        return np.random.default_rng([self.seed, *words.tolist()])

    def under(self, name: str) -> Streams:
        """Return separate streams for one of several similar tasks: a set, an origin, a block."""
        return Streams(self.seed, (*self.path, name))


Random = np.random.Generator | Streams | int
"""What a function with several streams accepts as its `rng`."""
