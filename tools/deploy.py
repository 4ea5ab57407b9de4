"""Write a trained student as ONNX or TorchScript: ``python tools/deploy.py CONFIG CHECKPOINT OUT``."""

import sys

from shake_mm.__main__ import deploy as main

if __name__ == '__main__':
    sys.exit(main())
