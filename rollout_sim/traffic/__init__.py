"""Traffic: who calls the function, and when.

Event sources and their retries (`source`), arrival processes (`processes`), and recorded traffic (`traces`).
Imports only `core`. Begin with `source`.
"""
