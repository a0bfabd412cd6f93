"""Role: the checks of scripts/interop."""
