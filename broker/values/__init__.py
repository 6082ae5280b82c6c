"""Plain data that all of `broker` may know: options, errors, reasons, what is on the wire."""
