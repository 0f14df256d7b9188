"""The command `python -m mtl_tf`, the same as `mtl-tf`."""

import sys

from mtl_tf.cli import main

sys.exit(main())
