"""`python -m connector_sdk.cdk`."""

from connector_sdk.cdk import main

main()
