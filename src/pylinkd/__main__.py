"""``python -m pylinkd`` is the ``linkd`` command."""

from .cli.main import main

main()
