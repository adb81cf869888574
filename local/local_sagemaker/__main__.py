"""`python -m local_sagemaker`."""

from local_sagemaker.main import main

main()
