"""`python -m backdrop` is the command line."""

from backdrop.cli import main

if __name__ == "__main__":
    main()
