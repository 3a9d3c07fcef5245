"""The landing folder to bronze tables of one domain."""

from lakehouse.cli import job


def main() -> None:
    """Run the job; its options are those of the command line."""
    job("bronze")


if __name__ == "__main__":
    main()
