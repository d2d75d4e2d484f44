"""Components for Azure: one file per concern, configured by `AzureConfig`, put together by `stack.AzureStack`."""
