"""Named streams of random numbers.

A seed stands for a family of independent streams, one for each name.  Whatever needs random numbers
asks for its own stream, so that the numbers depend on the seed and the name alone, never on the
order of calls or on how many numbers another consumer takes.  Two functions that need the same
numbers (the uncertain sizes of a scenario, say) ask for the same name.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from beltcast.errors import InputError


@dataclass(frozen=True)
class Streams:
    """The streams of a seed.

    ``streams.posterior`` is the stream called 'posterior'; a name that is no Python name is asked
    for as ``streams.stream("Foshan, ceramics")``.  Each request returns a new generator at the
    beginning of the stream.

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
    >>> streams.noise.random() == streams.noise.random()  # the same stream, from its beginning
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
        """Return streams as they are, those of a seed, or those that a generator leads to.

        A generator gives the seed as its next number, so that two calls with one generator have
        different streams.
        """
        if isinstance(rng, Streams):
            return rng
        if isinstance(rng, np.random.Generator):
            return cls(int(rng.integers(2**63)))
        return cls(int(rng))

    def __getattr__(self, name: str) -> np.random.Generator:
        # Python itself asks for names with an underscore, as when it copies a value.
        if name.startswith("_"):
            raise AttributeError(name)
        return self.stream(name)

    def stream(self, name: str) -> np.random.Generator:
        """Return a new generator at the beginning of the stream of this name."""
        # The lengths keep ('a', 'bc') apart from ('ab', 'c').
        text = "".join(f"{len(part)}:{part}" for part in (*self.path, name))
        words = np.frombuffer(hashlib.sha256(text.encode("utf-8")).digest()[:16], dtype="<u4")
        return np.random.default_rng([self.seed, *words.tolist()])

    def under(self, name: str) -> Streams:
        """Return streams of their own for one of several alike: a set, an origin, a block."""
        return Streams(self.seed, (*self.path, name))


Random = np.random.Generator | Streams | int
"""What a function with several streams accepts as its `rng`."""
