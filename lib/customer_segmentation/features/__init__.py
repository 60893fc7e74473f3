"""One row per customer: RFM and behaviour at an as-of date."""
