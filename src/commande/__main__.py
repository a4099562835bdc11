"""``python -m commande``."""

from commande.cli.main import main

if __name__ == "__main__":
    main()
