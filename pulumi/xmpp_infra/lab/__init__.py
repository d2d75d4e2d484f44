"""The `lab` platform: real Debian hosts on one machine, made by the lab provider."""
