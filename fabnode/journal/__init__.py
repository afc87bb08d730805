"""The journal of a run: events, redaction, rate limits, and summaries read from it."""
