"""``python -m beltcast`` is the command ``beltcast``."""

from beltcast.cli import main

if __name__ == "__main__":
    main()
