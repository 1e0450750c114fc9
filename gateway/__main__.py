"""`python -m gateway` is the `switchpoint` program."""

from gateway.cli.program import main

if __name__ == "__main__":
    main()
