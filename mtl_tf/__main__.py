"""`python -m mtl_tf` is `mtl-tf`."""

import sys

from mtl_tf.cli import main

sys.exit(main())
