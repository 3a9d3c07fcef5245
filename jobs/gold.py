"""The gold tables of one domain."""

from lakehouse.cli import job


def main() -> None:
    """Run the job; its options are those of the command line."""
    job("gold")


if __name__ == "__main__":
    main()
