"""``python -m estimator`` is the command, where the script is not on the path."""

from estimator.faces.__main__ import main

if __name__ == "__main__":
    main()
