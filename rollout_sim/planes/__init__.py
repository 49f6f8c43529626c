"""Data planes: what the invocations did, invocation by invocation or count by count."""
