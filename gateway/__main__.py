"""``python -m gateway`` is ``edu-gateway``."""

from gateway.cli import main

if __name__ == "__main__":
    main()
